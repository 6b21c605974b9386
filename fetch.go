package ropewalk

import (
	"errors"
	"sync"

	"ropewalk/changeset"
)

// schedule starts every request that the window has room for.
func (w *walk) schedule() error {
	end := min(w.place+w.windowCount(), w.last-w.first+1)
	for w.scanned = max(w.scanned, w.place); w.scanned < end; w.scanned++ {
		if _, known := w.known[w.version(w.scanned)]; !known {
			return w.learnOf(w.scanned, end)
		}
		if !w.fetch(w.scanned) {
			break // what lies behind would only take the room away
		}
	}
	return w.ctx.Err()
}

// windowCount is at least 2 backward, where a changeset is proved by the one below.
func (w *walk) windowCount() uint64 {
	n := uint64(w.reader.store.options.WindowCount)
	if w.backward {
		return max(n, 2)
	}
	return n
}

// learnOf sees to it that an unknown place of the window becomes known: it
// starts the fetches of all known ones behind it, and looks up the nearest
// known version above it if that is not among them.
func (w *walk) learnOf(place, end uint64) error {
	for p := place; p < end; p++ {
		if _, known := w.known[w.version(p)]; known && !w.fetch(p) {
			break
		}
	}
	at, id, ok := w.nearestKnown(w.version(place))
	if !ok {
		return &CorruptError{Ref: w.reader.head.Ref, Reason: "no ancestor index leads to the versions below"}
	}
	if _, fetched := w.fetched[at]; !fetched && !w.looked[at] {
		w.looked[at] = true
		w.start(changeset.Ref{AggregateID: w.reader.id, Version: at, ID: id}, lookup)
	}
	return w.ctx.Err()
}

// nearestKnown returns the lowest known version above the given one.
func (w *walk) nearestKnown(version uint64) (at uint64, id changeset.ID, ok bool) {
	for v, known := range w.known {
		if v > version && (!ok || v < at) {
			at, id, ok = v, known, true
		}
	}
	return at, id, ok
}

// fetch starts to read the changeset at a place whose ID is known, if that was
// not done before. It reports false where a content that is known not to fit
// must wait for room; the changeset to be yielded next never waits.
func (w *walk) fetch(place uint64) bool {
	version := w.version(place)
	r, started := w.fetched[version]
	k := whole
	if started {
		if r == nil || r.kind == whole {
			return true
		}
		if !w.budget.take(r.header) {
			return false
		}
		k = deferred
	}
	w.fetched[version] = nil
	w.start(changeset.Ref{AggregateID: w.reader.id, Version: version, ID: w.known[version]}, k)
	return true
}

func (w *walk) start(ref changeset.Ref, k kind) {
	w.running++
	go func() { w.replies <- w.request(ref, k) }()
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

// get reads a changeset, or only its header where the content has no room yet.
func (w *walk) get(ref changeset.Ref) reply {
	var refused *changeset.Header
	admitted := false
	ctx := changeset.WithAdmission(w.ctx, func(h changeset.Header) error {
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

// budget bounds the bytes of content that a walk holds. The version that is
// needed next always passes, however large it is.
type budget struct {
	mu          sync.Mutex
	limit, held int64
	needed      uint64
}

func (b *budget) need(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needed = version
}

func (b *budget) take(h changeset.Header) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+h.ContentSize > b.limit && h.Version != b.needed {
		return false
	}
	b.held += h.ContentSize
	return true
}

// add counts bytes that are held, or with a negative size are no more.
func (b *budget) add(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += size
}
