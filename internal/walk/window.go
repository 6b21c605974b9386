package walk

import "time"

const (
	// pace is the time that the consumer of a walk is assumed to spend on one
	// changeset. A reply that takes n times as long is requested n changesets
	// ahead.
	pace = 10 * time.Microsecond
	// minWindow and maxWindow bound an adaptive window. The largest window brings
	// 50,000 changesets a second at 20 ms, more than one process can check. A walk
	// begins with it, when nothing has been measured, but it can only request
	// what the head's index names.
	minWindow, maxWindow = 64, 1024
	// manyWindow is the window over a storage that reads many changesets by one
	// request: two requests of maxMany, so that one is consumed while the other
	// is under way.
	manyWindow, maxMany = 512, 256
)

// window says how many changesets ahead of its consumer a walk fetches: as many
// as are consumed while the fastest request is under way, but no more than
// would take half of the bytes that the walk may hold. The other half is for
// changesets that are larger than average.
type window struct {
	fixed    int   // of the options; 0 adapts
	bytes    int64 // that may be held
	many     bool
	measured bool
	fastest  time.Duration // of the replies that count: see measure
	arrived  int64         // how many changesets, and their total size
	total    int64
}

func (w *window) size() uint64 {
	switch {
	case w.fixed > 0:
		return uint64(w.fixed)
	case !w.measured:
		return maxWindow
	}
	n := int64(max(w.fastest/pace, minWindow))
	if w.many {
		n = manyWindow
	}
	if w.total > 0 {
		n = min(n, w.bytes/2*w.arrived/w.total)
	}
	return uint64(max(1, min(n, maxWindow)))
}

// measure learns from a reply. A reply that is faster than the smallest window
// needs is not a measurement: it may come from a cache in front of a slower
// storage.
func (w *window) measure(took time.Duration, changesets, size int64) {
	w.measured = true
	w.arrived += changesets
	w.total += size
	if took > minWindow*pace && (w.fastest == 0 || took < w.fastest) {
		w.fastest = took
	}
}
