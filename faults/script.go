package faults

import (
	"fmt"
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
//
// A store that puts and swaps in one step swaps by its commits. So a commit is
// a call of [Commit] and a call of [Swap], with a number among each, and the
// faults of both apply to it; where both are set, the fault of [Commit] does.
// [Script.Draw] is asked for [Commit] alone.
type Script struct {
	mu    sync.Mutex
	calls [operations]int
	plan  []*plan // oldest first
	draw  func(op Op, call int) Fault
	late  []*late
	log   []Event

	locked map[string]bool // heads that a step has locked, by aggregate ID
	writes map[string]int  // swaps of heads that are under way
}

// plan is a fault that was set for one call, or for every call of an operation.
type plan struct {
	Planned
	fired, ended bool
}

// Planned is a fault that was set by [Script.On], [Script.Next] or
// [Script.Every].
type Planned struct {
	Op Op
	// Call is the number of the call among the operation's calls; 0 means every call.
	Call  int
	Fault Fault
}

// String names the call and the kind of its fault.
func (p Planned) String() string {
	if p.Call == 0 {
		return fmt.Sprintf("every %s: %s", p.Op, p.Fault.Kind)
	}
	return fmt.Sprintf("%s %d: %s", p.Op, p.Call, p.Fault.Kind)
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
	s.set(op, n, f)
}

// Next sets the fault of the next call of an operation.
func (s *Script) Next(op Op, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(op, s.calls[op]+1, f)
}

// Every sets the fault of every call of an operation; the zero Fault ends it.
func (s *Script) Every(op Op, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.isZero() {
		s.set(op, 0, f)
	} else if p := s.planned(op, 0); p != nil {
		p.ended = true
	}
}

// set plans a fault instead of the one that was planned for the same call.
func (s *Script) set(op Op, n int, f Fault) {
	s.plan = slices.DeleteFunc(s.plan, func(p *plan) bool { return p.Op == op && p.Call == n && !p.ended })
	s.plan = append(s.plan, &plan{Planned: Planned{op, n, f}})
}

// planned returns the plan for a call, or nil.
func (s *Script) planned(op Op, n int) *plan {
	for _, p := range s.plan {
		if p.Op == op && p.Call == n && !p.ended {
			return p
		}
	}
	return nil
}

// Unused returns the faults that were set and never struck a call, in the order
// in which they were set. A test that relies on its faults requires that it
// returns nothing. A fault that was replaced, such as by a second [Script.On]
// for the same call, is not returned.
func (s *Script) Unused() (all []Planned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plan {
		if !p.fired {
			all = append(all, p.Planned)
		}
	}
	return all
}

func (f Fault) isZero() bool {
	return f.Kind == None && f.Before == nil && f.After == nil && f.Between == nil && f.DelayBefore == 0 && f.DelayAfter == 0
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
	s.calls, s.plan, s.draw, s.log = [operations]int{}, nil, nil, nil
}

// Release lets every [Late] request that waits for it take effect now, oldest
// first, including requests with [Fault.LateUntil], and returns when they have.
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

// Calls returns how many calls of an operation there were. A [Commit] counts as
// a [Swap], too.
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

// begin counts a call and chooses its fault.
func (s *Script) begin(op Op, ref changeset.Ref) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, as := range op.counted() {
		s.calls[as]++
	}
	c := call{op: op, number: s.calls[op], ref: ref}
	if p := s.due(op); p != nil {
		p.fired, c.fault = true, p.Fault
	} else if s.draw != nil {
		c.fault = s.draw(op, c.number)
	}
	return c
}

// due returns the plan for the call that was counted last, or nil.
func (s *Script) due(op Op) *plan {
	for _, as := range op.counted() {
		if p := s.planned(as, s.calls[as]); p != nil {
			return p
		}
	}
	for _, as := range op.counted() {
		if p := s.planned(as, 0); p != nil {
			return p
		}
	}
	return nil
}

// counted returns the operations that a call of op is counted as: a commit is
// a swap, too.
func (op Op) counted() []Op {
	if op == Commit {
		return []Op{Commit, Swap}
	}
	return []Op{op}
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
	if slices.Contains(c.op.counted(), c.fault.LateUntil) {
		left++ // the call itself ends after this and does not count
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, &late{c.fault.LateUntil, left, apply})
}

// releaseAfter lets the late requests take effect that waited for this call.
func (s *Script) releaseAfter(op Op) {
	s.applyLate(func(l *late) bool {
		if slices.Contains(op.counted(), l.until) {
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
