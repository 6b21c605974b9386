package feedtest

import (
	"context"
	"encoding/json"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

type hintLog struct {
	mu    sync.Mutex
	hints []head.Hint
}

func newSource(fault string) func(testing.TB) head.Store {
	db, log := sourceless{memstore.New()}, &hintLog{}
	return func(testing.TB) head.Store { return hinting{db, log, fault} }
}

// sourceless is a store without optional interfaces.
type sourceless struct{ head.Store }

// hinting is a source in memory, with one fault or none.
type hinting struct {
	sourceless
	log   *hintLog
	fault string
}

func (s hinting) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	h, err := s.sourceless.Swap(ctx, old, next)
	if err == nil && !reserved.Is(h.AggregateID) {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		hint := head.Hint{AggregateID: h.AggregateID, Head: h}
		switch {
		case s.fault == "another head":
			hint.Head.Digest[0]++
		case s.fault == "no hint of an erasure" && h.State == head.Erased:
			return h, nil
		}
		s.log.hints = append(s.log.hints, hint)
	}
	return h, err
}

func (s hinting) SourceName() string {
	if s.fault == "no name" {
		return ""
	}
	return "memory"
}

func (s hinting) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		var at int
		lost := cursor == nil && s.fault != "no loss" || s.fault == "a loss at each call"
		if cursor != nil {
			_ = json.Unmarshal(cursor, &at)
		}
		for waited := false; ; waited = true {
			if err := ctx.Err(); err != nil {
				if s.fault != "no error at the end" {
					yield(head.Hints{}, err)
				}
				return
			}
			p := s.page(at)
			p.Lost = lost
			p.CaughtUp = len(p.Hints) == 0 && !(s.fault == "caught up only once" && waited) && s.fault != "never caught up" || s.fault == "always caught up"
			next := at + len(p.Hints)
			p.Cursor, _ = json.Marshal(next)
			switch s.fault {
			case "cursor too far":
				p.Cursor, _ = json.Marshal(next + 1)
			case "no cursor":
				p.Cursor = nil
			}
			if !yield(p, nil) {
				return
			}
			at, lost = next, false
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// page returns up to seven hints.
func (s hinting) page(at int) (p head.Hints) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	at = min(at, len(s.log.hints))
	p.Hints = append(p.Hints, s.log.hints[at:min(at+7, len(s.log.hints))]...)
	return p
}

func TestGoodSource(t *testing.T) { TestSource(t, Harness{Heads: newSource("")}) }

// TestBadSources: each fault of a source fails a check.
func TestBadSources(t *testing.T) {
	for fault, check := range map[string]string{
		"no name":               "SourceName: is a short name, the same for each handle",
		"no loss":               "Hints: the first page of a new cursor is Lost",
		"a loss at each call":   "Hints: the first page of a new cursor is Lost",
		"no hint of an erasure": "Hints: after each change of a version or state, a hint comes, or a page that is Lost",
		"cursor too far":        "Hints: the cursor of each page resumes, in another process, without a loss",
		"no cursor":             "Hints: the first page of a new cursor is Lost",
		"never caught up":       "Hints: has caught up when there is nothing more, and after each wait without news",
		"caught up only once":   "Hints: has caught up when there is nothing more, and after each wait without news",
		"always caught up":      "Hints: what has happened before the call has come when it has caught up",
		"no error at the end":   "Hints: goes on until the context ends, and then ends with the context's error",
		"another head":          "Hint: a head that comes along is a record of the aggregate that was stored",
	} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				require.True(t, fails(t, check, newSource(fault)))
			})
		})
	}
}

// fails reports whether a check fails.
func fails(t *testing.T, name string, heads func(testing.TB) head.Store) bool {
	t.Helper()
	for _, c := range sourceChecks {
		if c.name != name {
			continue
		}
		failing := &failing{TB: t}
		var done sync.WaitGroup
		done.Go(func() { c.run(failing, Harness{Heads: heads}) })
		done.Wait()
		return failing.failed
	}
	require.Fail(t, "there is no such check", name)
	return false
}

// failing is a test that only notes its failure.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }

func (f *failing) FailNow() {
	f.failed = true
	runtime.Goexit()
}
