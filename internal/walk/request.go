package walk

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
)

// reply is the result of one request.
type reply struct {
	header changeset.Header
	body   []byte
	err    error
	kind   kind
	took   time.Duration // 0 if it is not a measurement
}

// kind says how much of a changeset a reply has.
type kind int

const (
	whole    kind = iota // everything that the walk yields
	deferred             // everything except the content, which has no room yet: to be fetched again
	lookup               // the header alone, of a version outside the window
)

func (w *walk) start(ref changeset.Ref, k kind) {
	w.running++
	go func() {
		began := time.Now()
		r := w.request(ref, k)
		r.took = time.Since(began)
		w.replies <- []reply{r}
	}()
}

// send requests the wanted changesets, many at a time.
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
// only the fields of the walk that never change.
func (w *walk) request(ref changeset.Ref, k kind) reply {
	var r reply
	switch {
	case k == lookup || w.Headers:
		info, err := w.store.Stat(w.ctx, ref)
		r = reply{header: info.Header, kind: k, err: err}
	case k == deferred: // its room was taken before
		c, err := w.store.Get(w.ctx, ref, nil)
		r = reply{header: c.Header, body: c.Body, err: err}
	default:
		r = w.get(ref)
	}
	if r.err == nil && r.header.Ref != ref {
		r.err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + r.header.Ref.String()}
	}
	if r.err != nil {
		r = reply{header: changeset.Header{Ref: ref}, kind: r.kind, err: ReadError(ref, r.err)}
	}
	return r
}

// requestMany makes one request for many changesets. A changeset that it does
// not bring, and that was not refused, is requested alone, which says why.
func (w *walk) requestMany(refs []changeset.Ref) []reply {
	asked := admissions{walk: w, admitted: map[changeset.Ref]int64{}, refused: map[changeset.Ref]changeset.Header{}}
	all, _ := w.many.GetMany(w.ctx, refs, asked.admit)
	replies := make([]reply, 0, len(refs))
	brought := make(map[changeset.Ref]bool, len(refs))
	for _, c := range all {
		if !slices.Contains(refs, c.Ref) {
			continue // was not requested
		}
		brought[c.Ref] = true
		if _, ok := asked.admitted[c.Ref]; !ok {
			w.budget.add(c.BodySize) // a store that does not ask
		}
		delete(asked.admitted, c.Ref)
		replies = append(replies, reply{header: c.Header, body: c.Body})
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

// admissions records which contents one request for many admitted.
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
	a.admitted[h.Ref] = h.BodySize
	return nil
}

// get reads a changeset, or only its header if the content has no room yet.
func (w *walk) get(ref changeset.Ref) reply {
	var refused *changeset.Header
	admitted := false
	c, err := w.store.Get(w.ctx, ref, func(h changeset.Header) error {
		if err := w.admissible(h); err != nil {
			return err
		}
		if admitted = w.budget.take(h); !admitted {
			refused = &h
			return errNoRoom
		}
		return nil
	})
	if refused != nil && errors.Is(err, errNoRoom) {
		return reply{header: *refused, kind: deferred}
	}
	if err == nil && !admitted {
		w.budget.add(c.BodySize) // a store that does not ask
	}
	return reply{header: c.Header, body: c.Body, err: err}
}

var errNoRoom = errors.New("no room in the window")

// admissible returns an error if the content is too large to be read at all:
// any writer to the storage can announce any size.
func (w *walk) admissible(h changeset.Header) error {
	if limit := w.limits.MaxContentSize; h.BodySize > limit {
		return fmt.Errorf("%w: %d bytes, more than %d", changeset.ErrStoredTooLarge, h.BodySize, limit)
	}
	return nil
}
