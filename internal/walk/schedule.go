package walk

import (
	"container/heap"

	"ropewalk/changeset"
)

// schedule starts every request that the window has room for, and looks up the
// first unknown position of the window.
func (w *walk) schedule() error {
	if w.batching() {
		return w.ctx.Err()
	}
	end := min(w.pos+w.windowSize(), w.Last-w.First+1)
	for len(w.pending) > 0 && w.pending[0] < end && w.fetch(w.pending[0]) {
		heap.Pop(&w.pending) // changesets after one that waits for room would only take its room
	}
	w.send()
	for w.scanned = max(w.scanned, w.pos); w.scanned < end; w.scanned++ {
		if _, known := w.known[w.version(w.scanned)]; !known {
			return w.lookUp(w.version(w.scanned))
		}
	}
	return w.ctx.Err()
}

// windowSize is at least 2 backward, where a changeset is proved by its parent.
func (w *walk) windowSize() uint64 {
	n := w.window.size()
	if w.Backward {
		return max(n, 2)
	}
	return n
}

// batching reports whether it pays to wait until one request can be for many
// changesets: a request is under way, or half of the window is known and fetched.
func (w *walk) batching() bool {
	half := w.pos + max(w.windowSize()/2, 2)
	return w.many != nil && (w.running > 0 || w.scanned >= half && (len(w.pending) == 0 || w.pending[0] >= half))
}

// lookUp requests the nearest known version above an unknown version, since its
// index leads there: as a whole if its turn comes soon, else the header alone.
func (w *walk) lookUp(version uint64) error {
	at, ok := w.nearestKnown(version)
	if !ok {
		return &changeset.CorruptError{Ref: w.head.Ref, Reason: "no ancestor index leads to the versions below"}
	}
	if _, fetched := w.fetched[at]; fetched || w.lookups[at] {
		return w.ctx.Err()
	}
	if at <= w.Last && w.position(at) < w.pos+2*w.windowSize() {
		w.fetch(w.position(at))
		w.send()
	} else {
		w.lookups[at] = true
		w.start(w.ref(at), lookup)
	}
	return w.ctx.Err()
}

// nearestKnown returns the lowest known version above the given version.
func (w *walk) nearestKnown(version uint64) (at uint64, ok bool) {
	for at = version + 1; at <= version+minWindow; at++ { // it is usually near
		if _, ok := w.known[at]; ok {
			return at, true
		}
	}
	for v := range w.known {
		if v > version && (!ok || v < at) {
			at, ok = v, true
		}
	}
	return at, ok
}

func (w *walk) ref(version uint64) changeset.Ref {
	return changeset.Ref{AggregateID: w.head.AggregateID, Version: version, ID: w.known[version]}
}

// fetch starts to read the changeset at a position whose ID is known. It reports
// false if the content is known not to fit and must wait for room. The changeset
// to be yielded next never waits.
func (w *walk) fetch(pos uint64) bool {
	version := w.version(pos)
	r, again := w.fetched[version]
	switch {
	case again && (r == nil || r.kind == whole):
		return true // a lookup fetched it before its turn
	case again && !w.budget.take(r.header):
		return false
	}
	w.fetched[version] = nil
	switch {
	case again:
		w.start(w.ref(version), deferred)
	case w.many != nil:
		w.wanted = append(w.wanted, w.ref(version))
	default:
		w.start(w.ref(version), whole)
	}
	return true
}

// version returns the version at a position of the span, counted from 0 in the
// order of the walk.
func (s Span) version(pos uint64) uint64 {
	if s.Backward {
		return s.Last - pos
	}
	return s.First + pos
}

// position returns the position of a version: the inverse of version.
func (s Span) position(version uint64) uint64 {
	if s.Backward {
		return s.Last - version
	}
	return version - s.First
}

// positions is a heap of positions, the first position on top.
type positions []uint64

func (p positions) Len() int           { return len(p) }
func (p positions) Less(i, j int) bool { return p[i] < p[j] }
func (p positions) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *positions) Push(pos any)      { *p = append(*p, pos.(uint64)) }

func (p *positions) Pop() any {
	last := len(*p) - 1
	pos := (*p)[last]
	*p = (*p)[:last]
	return pos
}
