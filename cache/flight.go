package cache

import (
	"sync"

	"ropewalk/changeset"
)

// flights are the reads under way, one for each changeset.
type flights struct {
	mu    sync.Mutex
	under map[changeset.Ref]*flight
}

// flight is one read that others may wait for.
type flight struct {
	done   chan struct{}
	others bool // wait for it
	// The result, valid once it is done. Alone says that the leader failed for a
	// reason that does not concern the others: then each goes on for itself.
	got   changeset.Changeset
	err   error
	alone bool
}

// join returns the read of a changeset that is under way, or a new one, which
// the caller then leads.
func (f *flights) join(ref changeset.Ref) (_ *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under, ok := f.under[ref]; ok {
		under.others = true
		return under, false
	}
	if f.under == nil {
		f.under = map[changeset.Ref]*flight{}
	}
	led := &flight{done: make(chan struct{})}
	f.under[ref] = led
	return led, true
}

// land ends a read that the caller leads. It reports whether others wait for
// it, who then share what the caller has set.
func (f *flights) land(ref changeset.Ref, led *flight) (shared bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.under, ref)
	close(led.done)
	return led.others
}
