package faults

import (
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
)

// Script says what goes wrong with the stores that it wraps, and keeps a log
// of it. Its zero value lets everything pass. It is safe for concurrent use,
// and holds no lock while a request, a hook or a delay is under way.
//
// A call's fault is the one set for its number by [Script.On] or
// [Script.Next], else the one set by [Script.Every], else what the function of
// [Script.Draw] returns.
type Script struct {
	mu    sync.Mutex
	calls [Commit + 1]int
	nth   map[nth]Fault
	every map[Op]Fault
	draw  func(op Op, call int) Fault
	late  []*late
	log   []Event
}

type nth struct {
	op   Op
	call int
}

type call struct {
	op     Op
	number int
	ref    changeset.Ref
	fault  Fault
}

// late is a request that waits to take effect.
type late struct {
	until Op  // 0 for one that waits for Release
	left  int // calls of until that are still to come
	apply func()
}

// On sets the fault of the n-th call of an operation, counted from 1 since the
// script was made or reset.
func (s *Script) On(op Op, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(nth{op, n}, f)
}

// Next sets the fault of the next call of an operation.
func (s *Script) Next(op Op, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(nth{op, s.calls[op] + 1}, f)
}

func (s *Script) set(n nth, f Fault) {
	if s.nth == nil {
		s.nth = map[nth]Fault{}
	}
	s.nth[n] = f
}

// Every sets the fault of every call of an operation; the zero Fault ends it.
func (s *Script) Every(op Op, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.every == nil {
		s.every = map[Op]Fault{}
	}
	s.every[op] = f
	if f.isZero() {
		delete(s.every, op)
	}
}

func (f Fault) isZero() bool {
	return f.Kind == None && f.Before == nil && f.After == nil && f.DelayBefore == 0 && f.DelayAfter == 0
}

// Draw lets a function choose the fault of each call, by its operation and its
// number among the calls of that. It is never called concurrently, and must
// not call the script; nil ends it.
func (s *Script) Draw(choose func(op Op, call int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw = choose
}

// Reset forgets all faults, counts and events. Requests that wait to take
// effect still do.
func (s *Script) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.nth, s.every, s.draw, s.log = [Commit + 1]int{}, nil, nil, nil, nil
}

// Release lets every [Late] request that waits for it take effect now, oldest
// first, those of [Fault.LateUntil] included, and returns when they have.
func (s *Script) Release() {
	s.applyLate(func(*late) bool { return true })
}

// Pending returns how many [Late] requests wait for [Script.Release] or for
// another call.
func (s *Script) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.late)
}

// Calls returns how many calls of an operation there were.
func (s *Script) Calls(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Log returns what happened so far, in order: an event for each request that
// arrived, and one for each injected error. A [Lost] or [Late] request has both.
func (s *Script) Log() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Script) begin(op Op, ref changeset.Ref) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	c := call{op: op, number: s.calls[op], ref: ref}
	if f, ok := s.nth[nth{op, c.number}]; ok {
		c.fault = f
	} else if f, ok := s.every[op]; ok {
		c.fault = f
	} else if s.draw != nil {
		c.fault = s.draw(op, c.number)
	}
	return c
}

func (s *Script) arrived(c call, err error) {
	s.record(Event{c.op, c.number, c.fault.Kind, c.ref, true, err})
}

// fail logs and returns the injected error of a call.
func (s *Script) fail(c call, cause error) error {
	err := c.injected(cause)
	s.record(Event{c.op, c.number, c.fault.Kind, c.ref, false, err})
	return err
}

func (s *Script) record(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, e)
}

// postpone keeps a late request until its time has come.
func (s *Script) postpone(c call, apply func()) {
	if c.fault.LateBy > 0 {
		go func() {
			time.Sleep(c.fault.LateBy)
			apply()
		}()
		return
	}
	left := max(1, c.fault.LateNth)
	if c.fault.LateUntil == c.op {
		left++ // the call itself ends after this and does not count
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, &late{c.fault.LateUntil, left, apply})
}

// releaseAfter lets the late requests take effect that waited for this call.
func (s *Script) releaseAfter(op Op) {
	s.applyLate(func(l *late) bool {
		if l.until == op {
			l.left--
		}
		return l.left == 0
	})
}

func (s *Script) applyLate(due func(*late) bool) {
	s.mu.Lock()
	var now, rest []*late
	for _, l := range s.late {
		if due(l) {
			now = append(now, l)
		} else {
			rest = append(rest, l)
		}
	}
	s.late = rest
	s.mu.Unlock()
	for _, l := range now {
		l.apply()
	}
}
