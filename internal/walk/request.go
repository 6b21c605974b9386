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
	number uint64
	header changeset.Header
	body   []byte
	err    error
	kind   kind
	took   time.Duration // 0 if it is not a measurement
	// What the admission of a single object decided.
	admitted, refused bool
}

// kind says how much of an object a reply has.
type kind int

const (
	whole    kind = iota // everything that the walk needs
	deferred             // everything except the body, which has no room yet: to be fetched again
	lookup               // the header alone, of an object outside the window
)

func (w *walk) start(number uint64, k kind) {
	ref := w.ref(number)
	w.do(func() []*reply {
		began := time.Now()
		r := w.request(ref, number, k)
		r.took = time.Since(began)
		return []*reply{r}
	})
}

// send requests the wanted objects, many at a time.
func (w *walk) send() {
	for numbers := range slices.Chunk(w.wanted, maxMany) {
		if len(numbers) == 1 {
			w.start(numbers[0], whole)
			continue
		}
		refs := make([]changeset.Ref, len(numbers))
		for i, number := range numbers {
			refs[i] = w.ref(number)
		}
		w.do(func() []*reply { return w.requestMany(refs, numbers) })
	}
	w.wanted = nil
}

// do makes a request on a goroutine that has no request, or on a new one. A goroutine is
// used again because its stack has grown already. There are at least as many goroutines
// as requests under way, so that a goroutine takes the request.
func (w *walk) do(request func() []*reply) {
	if w.running++; w.running > w.workers {
		w.workers++
		go func() {
			for request := range w.requests {
				w.replies <- request()
			}
		}()
	}
	w.requests <- request
}

// request makes one request. It runs on a goroutine of its own, and touches
// only the fields of the walk that never change.
func (w *walk) request(ref changeset.Ref, number uint64, k kind) *reply {
	var r *reply
	switch {
	case k == lookup || w.Headers && !w.packed:
		info, err := w.store.Stat(w.ctx, ref)
		r = &reply{header: info.Header, kind: k, err: err}
	case k == deferred: // its room was taken before
		c, err := w.store.Get(w.ctx, ref, nil)
		r = &reply{header: c.Header, body: c.Body, err: err}
	default:
		r = w.get(ref)
	}
	return w.identified(r, ref, number)
}

// identified returns the reply of a request for an object, or an error if it is not
// the object.
func (w *walk) identified(r *reply, ref changeset.Ref, number uint64) *reply {
	r.number = number
	if r.err == nil {
		r.err = w.identify(r.header, number, ref)
	}
	if r.err != nil {
		return &reply{number: number, header: changeset.Header{Ref: ref}, kind: r.kind, err: readError(ref, r.err)}
	}
	return r
}

// requestMany makes one request for many objects. An object that it does not
// bring, and that was not refused, is requested alone, which says why.
func (w *walk) requestMany(refs []changeset.Ref, numbers []uint64) []*reply {
	asked := admissions{walk: w, admitted: map[changeset.Ref]int64{}, refused: map[changeset.Ref]changeset.Header{}}
	all, _ := w.many.GetMany(w.ctx, refs, asked.admit)
	replies := make([]*reply, 0, len(refs))
	brought := make(map[changeset.Ref]bool, len(refs))
	for _, c := range all {
		i := slices.Index(refs, c.Ref)
		if i < 0 {
			continue // was not requested
		}
		brought[c.Ref] = true
		if _, ok := asked.admitted[c.Ref]; !ok && w.wants(c.Header) {
			w.budget.add(c.BodySize) // a store that does not ask
		}
		delete(asked.admitted, c.Ref)
		replies = append(replies, w.identified(&reply{header: c.Header, body: c.Body}, c.Ref, numbers[i]))
	}
	for _, size := range asked.admitted {
		w.budget.add(-size) // it did not come after all
	}
	for i, ref := range refs {
		if h, ok := asked.refused[ref]; ok {
			replies = append(replies, w.identified(w.refused(h), ref, numbers[i]))
		} else if !brought[ref] {
			replies = append(replies, w.request(ref, numbers[i], whole))
		}
	}
	return replies
}

// refused returns the reply for a body that was not admitted: it has no room yet, or
// the walk does not want it.
func (w *walk) refused(h changeset.Header) *reply {
	if w.wants(h) {
		return &reply{header: h, kind: deferred}
	}
	return &reply{header: h, kind: whole}
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
	if !a.walk.wants(h) || !a.walk.budget.take(h) {
		a.refused[h.Ref] = h
		return errNotNow
	}
	a.admitted[h.Ref] = h.BodySize
	return nil
}

// get reads an object, or only its header if the body is not wanted, or has no room
// yet.
func (w *walk) get(ref changeset.Ref) *reply {
	r := &reply{}
	c, err := w.store.Get(w.ctx, ref, func(h changeset.Header) error {
		if err := w.admissible(h); err != nil {
			return err
		}
		if r.admitted = w.wants(h) && w.budget.take(h); !r.admitted {
			r.header, r.refused = h, true
			return errNotNow
		}
		return nil
	})
	if r.refused && errors.Is(err, errNotNow) {
		return w.refused(r.header)
	}
	if err == nil && !r.admitted && w.wants(c.Header) {
		w.budget.add(c.BodySize) // a store that does not ask
	}
	r.header, r.body, r.err = c.Header, c.Body, err
	return r
}

var errNotNow = errors.New("the body is not wanted now")

// admissible returns an error if the body is too large to be read at all: any
// writer to the storage can announce any size.
func (w *walk) admissible(h changeset.Header) error {
	if h.Pack != nil && h.Pack.Lines {
		if h.BodySize > changeset.MaxReadBody {
			return &changeset.CorruptError{Ref: h.Ref, Reason: fmt.Sprintf("an object of lines cannot have %d bytes", h.BodySize)}
		}
		return nil
	}
	if limit := w.limits.MaxContentSize; w.wants(h) && h.BodySize > limit {
		return fmt.Errorf("%w: %d bytes, more than %d", changeset.ErrStoredTooLarge, h.BodySize, limit)
	}
	return nil
}
