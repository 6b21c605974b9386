// Package sqlfaults makes the steps of a SQL database fail by a script, for any driver
// of database/sql: before they take effect, after that, or so that the process
// is dead from then on.
package sqlfaults

import (
	"errors"
	"sync"
)

// Verdict is what becomes of a step.
type Verdict int

const (
	// Pass lets a step be.
	Pass Verdict = iota
	// Refuse lets a step fail without an effect.
	Refuse
	// Lose lets a step take effect, and loses its reply.
	Lose
	// KillBefore ends the process before the step: it and all later steps fail.
	KillBefore
	// KillAfter ends the process after the step has taken effect.
	KillAfter
	// Late lets a COMMIT take effect some time after it has failed: when
	// [Script.Land] is called. It is for COMMIT alone.
	Late
)

// The kinds of steps.
const (
	Begin  = "BEGIN"
	Exec   = "EXEC"
	Query  = "QUERY"
	Commit = "COMMIT"
)

// Step is a step of a process: the beginning or the end of a transaction, or a
// statement. ROLLBACK is no step: it always takes effect, as it does on the server
// if a connection ends.
type Step struct {
	Number int // from 1
	Kind   string
	Query  string
}

// Script decides about the steps of one process, which may have several connections.
// It is safe for concurrent use. Its exported fields must be set before its first use.
type Script struct {
	// Decide returns what becomes of a step. Nil lets all steps pass. It is called by
	// one goroutine for each connection, and may block.
	Decide func(Step) Verdict
	// Killed, if not nil, is called when the process is killed.
	Killed func()
	// Rewrite, if not nil, changes statements before they are executed.
	Rewrite func(query string) string
	// Postpone, if not nil, selects the statements of a transaction that are executed
	// just before COMMIT. Until then they are reported to have changed one row.
	Postpone func(query string) bool

	mu   sync.Mutex
	n    int
	dead bool
	late []func() error
}

var (
	errFault = errors.New("sqlfaults: the connection was lost")
	errDead  = errors.New("sqlfaults: the process is dead")
	errLate  = errors.New("sqlfaults: the connection was lost, and COMMIT is under way")
)

// Steps returns the number of steps so far.
func (s *Script) Steps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Dead reports whether the process was killed.
func (s *Script) Dead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// Land lets late COMMITs take effect, and returns their errors.
func (s *Script) Land() error {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	var errs []error
	for _, commit := range late {
		errs = append(errs, commit())
	}
	return errors.Join(errs...)
}

func (s *Script) rewritten(query string) string {
	if s.Rewrite != nil {
		return s.Rewrite(query)
	}
	return query
}

// next returns the verdict on the next step.
func (s *Script) next(kind, query string) Verdict {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return KillBefore
	}
	s.n++
	step := Step{s.n, kind, query}
	s.mu.Unlock()
	if s.Decide == nil {
		return Pass
	}
	return s.Decide(step)
}

// step does a step, or what the verdict leaves of it.
func (s *Script) step(kind, query string, effect func() error) error {
	switch v := s.next(kind, query); v {
	case Pass:
		return effect()
	case KillBefore:
		s.kill()
		return errDead
	case KillAfter:
		err := effect()
		s.kill()
		return errors.Join(errDead, err)
	case Lose:
		return errors.Join(errFault, effect())
	case Late:
		return errLate
	}
	return errFault
}

func (s *Script) later(commit func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, commit)
}

func (s *Script) kill() {
	s.mu.Lock()
	was := s.dead
	s.dead = true
	s.mu.Unlock()
	if !was && s.Killed != nil {
		s.Killed()
	}
}

func (s *Script) postpone(query string) bool { return s.Postpone != nil && s.Postpone(query) }
