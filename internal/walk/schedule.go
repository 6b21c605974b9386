package walk

import (
	"cmp"
	"slices"

	"ropewalk/changeset"
)

// schedule starts every request that the window has room for, and looks up the
// first unknown position of the window.
func (w *walk) schedule() error {
	if !w.located {
		return w.locate()
	}
	if w.batching() {
		return w.ctx.Err()
	}
	size := w.windowSize()
	for len(w.pending) > 0 && w.ahead(w.pending.first()) < size && w.fetch(w.pending.first()) {
		w.pending.pop() // what comes after one that waits for room would only take its room
	}
	w.send()
	for w.scanned = max(w.scanned, w.pos); w.inSpan(w.scanned) && w.ahead(w.scanned) < size; w.scanned++ {
		if _, known := w.known[w.number(w.scanned)]; !known {
			return w.lookUp(w.number(w.scanned))
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

// ahead returns how many changesets ahead of the consumer a position is: from the
// last changeset of what is yielded next to the first one there.
func (w *walk) ahead(pos uint64) uint64 {
	switch {
	case pos <= w.pos:
		return 0
	case !w.packed:
		return pos - w.pos
	}
	near, from := w.near(pos), w.version
	if e, ok := w.known[w.number(w.pos)]; ok {
		from = w.after(e)
	}
	return max(near, from) - min(near, from) + 1
}

// inSpan reports whether the walk yields something at a position.
func (w *walk) inSpan(pos uint64) bool {
	if pos >= w.total || !w.packed {
		return pos < w.total
	}
	near := w.near(pos)
	return w.First <= near && near <= w.Last
}

// batching reports whether it pays to wait until one request can be for many
// changesets: a request is under way, or half of the window is known and fetched.
func (w *walk) batching() bool {
	if w.many == nil {
		return false
	}
	half := max(w.windowSize()/2, 2)
	return w.running > 0 || w.ahead(w.scanned) >= half && (len(w.pending) == 0 || w.ahead(w.pending.first()) >= half)
}

// lookUp requests the nearest known object above an unknown one, since its index
// leads there.
func (w *walk) lookUp(number uint64) error {
	at, ok := w.nearestKnown(number)
	if !ok {
		return w.leadsNowhere()
	}
	return w.leadOn(at)
}

// leadOn requests a known object for its index: as a whole if its turn comes soon,
// else the header alone.
func (w *walk) leadOn(at uint64) error {
	if _, fetched := w.fetched[at]; fetched || w.lookups[at] {
		return w.ctx.Err()
	}
	if w.overlaps(w.known[at]) && w.ahead(w.position(at)) < 2*w.windowSize() {
		w.fetch(w.position(at))
		w.send()
	} else {
		w.lookups[at] = true
		w.start(at, lookup)
	}
	return w.ctx.Err()
}

// nearestKnown returns the lowest known number above the given number.
func (w *walk) nearestKnown(number uint64) (at uint64, ok bool) {
	for at = number + 1; at <= number+minWindow; at++ { // it is usually near
		if _, ok := w.known[at]; ok {
			return at, true
		}
	}
	for n := range w.known {
		if n > number && (!ok || n < at) {
			at, ok = n, true
		}
	}
	return at, ok
}

func (w *walk) ref(number uint64) changeset.Ref { return w.known[number].Ref(w.head.AggregateID) }

// fetch starts to read what is at a position whose ID is known. It reports false
// if the body is known not to fit and must wait for room. The object to be yielded
// next never waits.
func (w *walk) fetch(pos uint64) bool {
	number := w.number(pos)
	r, again := w.fetched[number]
	switch {
	case again && (r == nil || r.kind == whole):
		return true // a lookup fetched it before its turn
	case again && !w.budget.take(r.header):
		return false
	}
	w.fetched[number] = nil
	switch {
	case again:
		w.start(number, deferred)
	case w.many != nil:
		w.wanted = append(w.wanted, number)
	default:
		w.start(number, whole)
	}
	return true
}

// number returns the number of what is at a position, counted from 0 in the order
// of the walk.
func (w *walk) number(pos uint64) uint64 {
	if w.Backward {
		return w.base - pos
	}
	return w.base + pos
}

// position returns the position of a number: the inverse of number.
func (w *walk) position(number uint64) uint64 {
	if w.Backward {
		return w.base - number
	}
	return number - w.base
}

// positions are sorted, the first position at the end: what is learned is usually
// near, and what is near is fetched first.
type positions []uint64

func (p positions) first() uint64 { return p[len(p)-1] }

func (p *positions) pop() { *p = (*p)[:len(*p)-1] }

func (p *positions) push(pos uint64) {
	at, _ := slices.BinarySearchFunc(*p, pos, func(a, b uint64) int { return cmp.Compare(b, a) })
	*p = slices.Insert(*p, at, pos)
}
