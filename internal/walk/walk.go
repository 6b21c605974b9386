// Package walk reads a chain in rounds of parallel requests: it is the machine
// under the readers of package ropewalk.
//
// A walk knows the IDs that the head's index holds, and learns more from the
// index of every header that arrives. Within a window ahead of its consumer it
// fetches everything whose ID it knows. Each fetch reveals further IDs, so that a
// whole history takes a few rounds. An ID that the walk needs and does not know
// is looked up: the nearest known object above it has the ID in its index, or
// knows an object that is nearer.
//
// A walk is over the changesets of format 1, numbered by their versions, or over the
// objects of format 2, which have numbers of their own. A packed chain has up to
// three parts: changesets of format 1, objects of format 2, and the tip of its head.
// A [Chain] reads them one after the other, and proves that they belong together.
//
// Where the store reads many objects by one request, everything that can be asked
// for at one time is one request, and the window is filled up when half of it has
// been consumed.
package walk

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// Span says what a walk yields: the versions First to Last, both included.
type Span struct {
	First, Last uint64
	Backward    bool       // the newest changeset first
	Headers     bool       // without content
	After       *head.Head // the head at First-1, if it is known
}

// Limits bound what a walk requests and holds.
type Limits struct {
	WindowCount    int   // changesets ahead of the consumer; 0 adapts
	WindowBytes    int64 // bodies held ahead of the consumer
	MaxContentSize int64 // of one changeset
}

// walk is one walk. One goroutine, the consumer's, owns all state and runs the
// loop. The goroutines that make the requests only send the replies.
type walk struct {
	Span
	packed   bool // over objects of format 2
	store    changeset.Store
	head     head.Head
	limits   Limits
	ctx      context.Context
	cancel   context.CancelFunc
	many     changeset.ManyGetter // nil if the store has no such request
	requests chan func() []*reply
	replies  chan []*reply
	running  int // requests under way
	workers  int // goroutines that make them
	budget   *budget
	window   window

	base    uint64                     // the number at position 0, see [walk.number]
	total   uint64                     // positions
	located bool                       // pos is what is needed next; false until an index has led there
	pos     uint64                     // to be yielded next
	version uint64                     // needed next
	scanned uint64                     // every position before has a known ID
	known   map[uint64]changeset.Entry // by number, not yet yielded
	pending positions                  // known, and to be fetched
	wanted  []uint64                   // numbers, to be fetched by one request
	lookups map[uint64]bool            // numbers looked up outside the window
	fetched map[uint64]*reply          // within the window; nil while under way
	yielded *changeset.Header          // the latest
	failure error                      // of the first request that failed
}

func newWalk(ctx context.Context, store changeset.Store, at head.Head, s Span, l Limits) *walk {
	w := &walk{
		Span: s, store: store, head: at, limits: l,
		requests: make(chan func() []*reply, minWindow),
		replies:  make(chan []*reply),
		budget:   &budget{limit: l.WindowBytes},
		window:   window{fixed: l.WindowCount, bytes: l.WindowBytes},
		version:  s.First,
		known:    map[uint64]changeset.Entry{},
		lookups:  map[uint64]bool{},
		fetched:  map[uint64]*reply{},
	}
	if s.Backward {
		w.version = s.Last
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// newVersions returns a walk over the changesets of format 1 of a chain, which has
// yet to know where to begin. The span must lie within them.
func newVersions(ctx context.Context, store changeset.Store, at head.Head, s Span, l Limits) *walk {
	w := newWalk(ctx, store, at, s, l)
	w.base, w.total, w.located = w.version, s.Last-s.First+1, true
	if !s.Headers {
		w.readMany()
	}
	return w
}

func (w *walk) readMany() {
	if many, ok := changeset.As[changeset.ManyGetter](w.store); ok {
		w.many, w.window.many = many, true
	}
}

// run yields the changesets of the span, and returns the first error.
func (w *walk) run(yield func(changeset.Changeset, error) bool) error {
	defer w.stop()
	for ; w.pos < w.total; w.pos++ {
		c, err := w.next()
		if err != nil {
			return err
		}
		if !yield(c, nil) {
			return nil
		}
		w.release(c)
	}
	return nil
}

// stop cancels the requests under way and waits for them.
func (w *walk) stop() {
	w.cancel()
	defer close(w.requests)
	for ; w.running > 0; w.running-- {
		<-w.replies
	}
}

// next returns the changeset or the object at the present position, checked. An
// error further on waits until the walk has come to it, or cannot go on without
// what failed.
func (w *walk) next() (changeset.Changeset, error) {
	w.budget.need(w.number(w.pos))
	for {
		if err := w.receiveAll(); err != nil {
			return changeset.Changeset{}, err
		}
		if w.beyond() {
			return changeset.Changeset{}, errBelow
		}
		if err := w.schedule(); err != nil {
			return changeset.Changeset{}, err
		}
		if r, ready := w.ready(); ready {
			if r.err != nil {
				return changeset.Changeset{}, r.err
			}
			return w.checked(changeset.Changeset{Header: r.header, Body: r.body})
		}
		if w.running == 0 {
			return changeset.Changeset{}, cmp.Or(w.failure, w.leadsNowhere())
		}
		if err := w.receive(<-w.replies); err != nil {
			return changeset.Changeset{}, err
		}
	}
}

// ready returns the reply for the present position, or the failed reply for the
// parent, if everything that is needed to yield it has arrived. Walking backward the
// parent of a changeset of format 1 comes after the changeset that it proves. An
// object of format 2 has the digest of its parent.
func (w *walk) ready() (*reply, bool) {
	if !w.located {
		return nil, false
	}
	number := w.number(w.pos)
	r := w.fetched[number]
	if r == nil || r.kind != whole || w.packed || !w.Backward || number == w.First || r.err != nil {
		return r, r != nil && r.kind == whole
	}
	parent := w.fetched[number-1]
	if parent != nil && parent.err != nil {
		return parent, true
	}
	return r, parent != nil
}

// checked returns what has arrived: a changeset of format 1 if it holds against its
// hash, what pointed at it, its parent and the digests. An object of format 2 is
// checked when it is unpacked.
func (w *walk) checked(c changeset.Changeset) (changeset.Changeset, error) {
	if w.packed {
		return c, nil
	}
	if w.wants(c.Header) {
		if err := c.VerifyBody(); err != nil {
			return changeset.Changeset{}, err
		}
	}
	if err := w.check(c.Header); err != nil {
		return changeset.Changeset{}, err
	}
	return withContent(c, w.Headers, w.limits)
}

// withContent fills in the content.
func withContent(c changeset.Changeset, headers bool, l Limits) (_ changeset.Changeset, err error) {
	if headers {
		c.Content, c.Body = nil, nil
		return c, nil
	}
	c.Content, err = body.Decode(c, l.MaxContentSize)
	return c, err
}

// check holds a changeset of format 1 against what pointed at it, its parent and
// the digests, before it is yielded.
func (w *walk) check(h changeset.Header) error {
	if h.Version == w.head.Version {
		if err := w.head.VerifyNewest(h); err != nil {
			return err
		}
	}
	if h.Version == 0 {
		return h.Verify(changeset.Digest{})
	}
	if parent, ok := w.parent(h.Version); ok {
		if err := h.VerifyLink(parent); err != nil {
			return err
		}
		return h.Verify(parent.Digest)
	}
	if w.After != nil && h.Version == w.First {
		return passes(h, *w.After, w.head)
	}
	return nil
}

// passes checks that the changeset after a head is the changeset with this header.
func passes(h changeset.Header, after, newest head.Head) error {
	if h.Parent != after.ID || h.Format() == changeset.Format && h.Ancestors != after.Ancestors {
		return NotPassed(after.Ref, newest.Ref)
	}
	return h.Verify(after.Digest)
}

// parent returns the header one version below, if the walk reads it too.
func (w *walk) parent(version uint64) (changeset.Header, bool) {
	switch {
	case version == w.First:
		return changeset.Header{}, false
	case w.Backward:
		return w.fetched[version-1].header, true
	default:
		return *w.yielded, true
	}
}

// release forgets what was yielded, except the header, which proves the next one.
func (w *walk) release(c changeset.Changeset) {
	number := w.number(w.pos)
	r := w.fetched[number]
	delete(w.fetched, number)
	delete(w.known, number)
	delete(w.lookups, number)
	r.body = nil
	w.yielded = &r.header
	if w.wants(c.Header) {
		w.budget.add(-c.BodySize)
	}
}

// receiveAll records the replies that have arrived in the meantime.
func (w *walk) receiveAll() error {
	for {
		select {
		case r := <-w.replies:
			if err := w.receive(r); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// receive records the replies of one request.
func (w *walk) receive(replies []*reply) error {
	w.running--
	for _, r := range replies {
		if err := w.record(r); err != nil {
			return err
		}
	}
	return nil
}

// record keeps a reply, and learns the IDs that its index holds.
func (w *walk) record(r *reply) error {
	if r.kind != lookup {
		w.fetched[r.number] = r
	}
	if r.err != nil {
		w.failure = cmp.Or(w.failure, r.err)
		return nil
	}
	if r.kind == deferred {
		w.pending.push(w.position(r.number))
	}
	size := int64(0)
	if w.wants(r.header) {
		size = r.header.BodySize
	}
	w.window.measure(r.took, int64(max(r.header.Count, 1)), size)
	return w.learn(r.header)
}

// learn adds the IDs of an index to the known IDs.
func (w *walk) learn(h changeset.Header) error {
	if w.packed {
		for number, e := range h.Pack.Index.All() {
			if err := w.add(h.Ref, number, e); err != nil {
				return err
			}
		}
		return nil
	}
	for version, id := range h.Ancestors.All() {
		if err := w.add(h.Ref, version, changeset.Entry{Version: version, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// add adds an entry of an object's index, if the walk may need it. If two indexes
// disagree, one of them is not what was written.
func (w *walk) add(object changeset.Ref, number uint64, e changeset.Entry) error {
	if e.Version < w.First || !w.Backward && number < w.number(w.pos) {
		return nil
	}
	known, ok := w.known[number]
	if ok && known != e {
		return &changeset.CorruptError{Ref: object, Reason: fmt.Sprintf("its index has %s, a later one has %s", e.Ref(object.AggregateID), known.Ref(object.AggregateID))}
	}
	if !ok {
		w.know(number, e)
	}
	return nil
}

// know adds an entry, and plans to fetch its object if the walk yields it.
func (w *walk) know(number uint64, e changeset.Entry) {
	w.known[number] = e
	if w.overlaps(e) {
		w.pending.push(w.position(number))
	}
	if !w.located && w.version <= e.Version && (firstOf(e) <= w.version || number == 0) {
		w.located, w.pos = true, w.position(number)
		w.budget.need(number)
	}
}

func (w *walk) leadsNowhere() error {
	return &changeset.CorruptError{Ref: w.head.Ref, Reason: fmt.Sprintf("no index leads to version %d", w.version)}
}

// ReadError returns the error of reading an object that a chain names: a missing
// object is corruption.
func ReadError(ref changeset.Ref, err error) error {
	if missing, ok := errors.AsType[*missingError](readError(ref, err)); ok {
		return missing.CorruptError
	}
	return readError(ref, err)
}

func readError(ref changeset.Ref, err error) error {
	if _, ok := errors.AsType[*changeset.CorruptError](err); ok {
		return err // names the object already
	}
	if errors.Is(err, changeset.ErrNotFound) {
		return &missingError{&changeset.CorruptError{Ref: ref, Reason: "the changeset is missing"}}
	}
	return fmt.Errorf("read %s: %w", ref, err)
}

// missingError is the error of an object that the store does not have.
type missingError struct{ *changeset.CorruptError }

func (e *missingError) Unwrap() error { return e.CorruptError }

// NotPassed returns the error of a chain that does not pass through ref. It
// matches [changeset.ErrNotFound].
func NotPassed(ref, newest changeset.Ref) error {
	return fmt.Errorf("the chain up to %s does not pass through %s: %w", newest, ref, changeset.ErrNotFound)
}
