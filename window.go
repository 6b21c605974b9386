package ropewalk

import "time"

const (
	// pace is how long the consumer of a walk is thought to spend on one
	// changeset: what takes that much longer to arrive is asked for so many
	// changesets ahead.
	pace = 10 * time.Microsecond
	// minWindow and maxWindow bound an adaptive window. The largest one brings
	// 50,000 changesets a second at 20 ms, more than one process can check. It
	// is where a walk begins, when nothing has been measured, but only what the
	// head's index names can be asked for.
	minWindow, maxWindow = 64, 1024
	// manyWindow is the window over a storage that reads many by one request:
	// two such requests of maxMany, one of which is read while the other comes.
	manyWindow, maxMany = 512, 256
)

// window says how many places ahead of its consumer a walk fetches: as many as
// are consumed while the fastest of its requests is under way, but no more than
// would take half of the bytes that it may hold. The other half is for those
// that are larger than most.
type window struct {
	fixed    int   // of the options; 0 adapts
	bytes    int64 // that may be held
	many     bool
	measured bool
	fastest  time.Duration // of those that say something: see measure
	arrived  int64         // how many, and of which size
	size     int64
}

func (w *window) places() uint64 {
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
	if w.size > 0 {
		n = min(n, w.bytes/2*w.arrived/w.size)
	}
	return uint64(max(1, min(n, maxWindow)))
}

// measure learns from a reply. One that is faster than the smallest window
// needs tells nothing: it may come out of a cache before a slower storage.
func (w *window) measure(took time.Duration, size int64) {
	w.measured = true
	w.arrived++
	w.size += size
	if took > minWindow*pace && (w.fastest == 0 || took < w.fastest) {
		w.fastest = took
	}
}
