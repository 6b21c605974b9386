package ropewalk

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
)

// schedule starts every request that the window has room for, and sees to it
// that the first unknown place of the window becomes known.
func (w *walk) schedule() error {
	if w.stocked() {
		return w.ctx.Err()
	}
	end := min(w.place+w.windowPlaces(), w.last-w.first+1)
	for len(w.todo) > 0 && w.todo[0] < end && w.fetch(w.todo[0]) {
		heap.Pop(&w.todo) // what lies behind one that waits for room would only take that away
	}
	w.send()
	for w.scanned = max(w.scanned, w.place); w.scanned < end; w.scanned++ {
		if _, known := w.known[w.version(w.scanned)]; !known {
			return w.lookUp(w.version(w.scanned))
		}
	}
	return w.ctx.Err()
}

// windowPlaces is at least 2 backward, where a changeset is proved by the one below.
func (w *walk) windowPlaces() uint64 {
	n := w.window.places()
	if w.backward {
		return max(n, 2)
	}
	return n
}

// stocked reports whether it pays to wait until a request can be for many: one
// is under way, or half of the window is known and fetched.
func (w *walk) stocked() bool {
	half := w.place + max(w.windowPlaces()/2, 2)
	return w.many != nil && (w.running > 0 || w.scanned >= half && (len(w.todo) == 0 || w.todo[0] >= half))
}

// lookUp sees to it that an unknown version becomes known: by the index of the
// nearest known one above it, which it fetches if its turn comes soon, and looks
// up if not.
func (w *walk) lookUp(version uint64) error {
	at, ok := w.nearestKnown(version)
	if !ok {
		return &CorruptError{Ref: w.reader.head.Ref, Reason: "no ancestor index leads to the versions below"}
	}
	if _, fetched := w.fetched[at]; fetched || w.looked[at] {
		return w.ctx.Err()
	}
	if at <= w.last && w.placeOf(at) < w.place+2*w.windowPlaces() {
		w.fetch(w.placeOf(at))
		w.send()
	} else {
		w.looked[at] = true
		w.start(w.ref(at), lookup)
	}
	return w.ctx.Err()
}

// nearestKnown returns the lowest known version above the given one.
func (w *walk) nearestKnown(version uint64) (at uint64, ok bool) {
	for at = version + 1; at <= version+minWindow; at++ { // mostly it is near
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
	return changeset.Ref{AggregateID: w.reader.id, Version: version, ID: w.known[version]}
}

// fetch starts to read the changeset at a place whose ID is known. It reports
// false where a content that is known not to fit must wait for room; the
// changeset to be yielded next never waits.
func (w *walk) fetch(place uint64) bool {
	version := w.version(place)
	r, again := w.fetched[version]
	switch {
	case again && (r == nil || r.kind == whole):
		return true // before its turn
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

func (w *walk) start(ref changeset.Ref, k kind) {
	w.running++
	go func() {
		began := time.Now()
		r := w.request(ref, k)
		r.took = time.Since(began)
		w.replies <- []reply{r}
	}()
}

// send makes requests of what is wanted.
func (w *walk) send() {
	for refs := range slices.Chunk(w.wanted, maxMany) {
		if len(refs) == 1 {
			w.start(refs[0], whole)
			continue
		}
		w.running++
		go func() { w.replies <- w.requestMany(refs) }()
	}
	w.wanted = nil
}

// request makes one request. It runs on a goroutine of its own, and touches
// nothing of the walk that changes.
func (w *walk) request(ref changeset.Ref, k kind) reply {
	var r reply
	switch {
	case k == lookup || w.headers:
		info, err := w.reader.changesets.Stat(w.ctx, ref)
		r = reply{header: info.Header, kind: k, err: err}
	case k == deferred: // its room was taken before
		c, err := w.reader.changesets.Get(w.ctx, ref)
		r = reply{header: c.Header, content: c.Content, err: err}
	default:
		r = w.get(ref)
	}
	if r.err == nil && r.header.Ref != ref {
		r.err = &CorruptError{Ref: ref, Reason: "the object is that of " + r.header.Ref.String()}
	}
	if r.err != nil {
		r = reply{header: changeset.Header{Ref: ref}, kind: r.kind, err: w.reader.store.readError(ref, r.err)}
	}
	return r
}

// requestMany makes one request for many changesets. Those that it does not
// bring and that were not refused are asked for one by one, which says why.
func (w *walk) requestMany(refs []changeset.Ref) []reply {
	asked := admissions{walk: w, admitted: map[changeset.Ref]int64{}, refused: map[changeset.Ref]changeset.Header{}}
	all, _ := w.many.GetMany(changeset.WithAdmission(w.ctx, asked.admit), refs)
	replies := make([]reply, 0, len(refs))
	brought := make(map[changeset.Ref]bool, len(refs))
	for _, c := range all {
		if !slices.Contains(refs, c.Ref) {
			continue // nobody asked for it
		}
		brought[c.Ref] = true
		if _, ok := asked.admitted[c.Ref]; !ok {
			w.budget.add(c.ContentSize) // a store that does not ask
		}
		delete(asked.admitted, c.Ref)
		replies = append(replies, reply{header: c.Header, content: c.Content})
	}
	for _, size := range asked.admitted {
		w.budget.add(-size) // it did not come after all
	}
	for _, ref := range refs {
		if h, ok := asked.refused[ref]; ok {
			replies = append(replies, reply{header: h, kind: deferred})
		} else if !brought[ref] {
			replies = append(replies, w.request(ref, whole))
		}
	}
	return replies
}

// admissions are what was asked during one request for many.
type admissions struct {
	mu       sync.Mutex
	walk     *walk
	admitted map[changeset.Ref]int64
	refused  map[changeset.Ref]changeset.Header
}

func (a *admissions) admit(h changeset.Header) error {
	if err := a.walk.admissible(h); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.walk.budget.take(h) {
		a.refused[h.Ref] = h
		return errNoRoom
	}
	a.admitted[h.Ref] = h.ContentSize
	return nil
}

// get reads a changeset, or only its header where the content has no room yet.
func (w *walk) get(ref changeset.Ref) reply {
	var refused *changeset.Header
	admitted := false
	ctx := changeset.WithAdmission(w.ctx, func(h changeset.Header) error {
		if err := w.admissible(h); err != nil {
			return err
		}
		if admitted = w.budget.take(h); !admitted {
			refused = &h
			return errNoRoom
		}
		return nil
	})
	c, err := w.reader.changesets.Get(ctx, ref)
	if refused != nil && errors.Is(err, errNoRoom) {
		return reply{header: *refused, kind: deferred}
	}
	if err == nil && !admitted {
		w.budget.add(c.ContentSize) // a store that does not ask
	}
	return reply{header: c.Header, content: c.Content, err: err}
}

var errNoRoom = errors.New("no room in the window")

// admissible returns the error of a content that is too large to be read at
// all: whoever may write to the storage can announce any size.
func (w *walk) admissible(h changeset.Header) error {
	if limit := w.reader.store.options.MaxContentSize; h.ContentSize > limit {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrTooLarge, h.ContentSize, limit)
	}
	return nil
}
