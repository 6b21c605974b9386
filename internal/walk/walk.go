// Package walk reads a chain in rounds of parallel requests: it is the machine
// under the readers of package ropewalk.
//
// A walk knows the IDs that the head's ancestor index holds, and learns more
// from the index of every header that arrives. Within a window ahead of its
// consumer it fetches every version whose ID it knows. Each fetch reveals
// further IDs, so that a whole history takes a few rounds. An ID that the walk
// needs and does not know is looked up: the nearest known version above it has
// the ID in its index, or knows a version that is nearer.
//
// Where the store reads many changesets by one request, everything that can be
// asked for at one time is one request, and the window is filled up when half
// of it has been consumed.
package walk

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
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
	WindowBytes    int64 // content held ahead of the consumer
	MaxContentSize int64 // of one changeset
}

// Changesets yields the changesets of a span of the chain that ends at the
// given head, in order and each checked. The span must lie within the chain. At
// most one error ends the sequence; no goroutine outlives the loop.
func Changesets(ctx context.Context, store changeset.Store, at head.Head, s Span, l Limits) iter.Seq2[changeset.Changeset, error] {
	return func(yield func(changeset.Changeset, error) bool) {
		newWalk(ctx, store, at, s, l).run(yield)
	}
}

// ReadError returns the error of reading a changeset that a chain names: a
// missing changeset is corruption.
func ReadError(ref changeset.Ref, err error) error {
	if _, ok := errors.AsType[*changeset.CorruptError](err); ok {
		return err // names the changeset already
	}
	if errors.Is(err, changeset.ErrNotFound) {
		return &changeset.CorruptError{Ref: ref, Reason: "the changeset is missing"}
	}
	return fmt.Errorf("read %s: %w", ref, err)
}

// NotPassed returns the error of a chain that does not pass through ref. It
// matches [changeset.ErrNotFound].
func NotPassed(ref, newest changeset.Ref) error {
	return fmt.Errorf("the chain up to %s does not pass through %s: %w", newest, ref, changeset.ErrNotFound)
}

// walk is one walk. One goroutine, the consumer's, owns all state and runs the
// loop. A goroutine for each request only sends its reply.
type walk struct {
	Span
	store   changeset.Store
	head    head.Head
	limits  Limits
	ctx     context.Context
	cancel  context.CancelFunc
	many    changeset.ManyGetter // nil if the store has no such request
	replies chan []reply
	running int // requests under way
	budget  *budget
	window  window

	pos     uint64                  // of the changeset to be yielded next, see [Span.version]
	scanned uint64                  // every position before has a known ID
	known   map[uint64]changeset.ID // by version, not yet yielded
	pending positions               // known, and to be fetched
	wanted  []changeset.Ref         // to be fetched by one request
	lookups map[uint64]bool         // versions looked up outside the window
	fetched map[uint64]*reply       // within the window; nil while under way
	yielded *changeset.Header       // the latest
	failure error                   // of the first request that failed
}

func newWalk(ctx context.Context, store changeset.Store, at head.Head, s Span, l Limits) *walk {
	w := &walk{
		Span: s, store: store, head: at, limits: l,
		replies: make(chan []reply),
		budget:  &budget{limit: l.WindowBytes},
		window:  window{fixed: l.WindowCount, bytes: l.WindowBytes},
		known:   map[uint64]changeset.ID{},
		lookups: map[uint64]bool{},
		fetched: map[uint64]*reply{},
	}
	if many, ok := changeset.As[changeset.ManyGetter](store); ok && !s.Headers {
		w.many, w.window.many = many, true
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	for version, id := range at.Ancestors.All() {
		w.know(version, id)
	}
	return w
}

// run yields the changesets of the span, and ends with the first error.
func (w *walk) run(yield func(changeset.Changeset, error) bool) {
	defer w.stop()
	for ; w.pos <= w.Last-w.First; w.pos++ {
		c, err := w.next()
		if err != nil {
			yield(changeset.Changeset{}, err)
			return
		}
		if !yield(c, nil) {
			return
		}
		w.release(c)
	}
}

// stop cancels the requests under way and waits for them.
func (w *walk) stop() {
	w.cancel()
	for ; w.running > 0; w.running-- {
		<-w.replies
	}
}

// next returns the changeset at the present position, checked. An error further
// on waits until the walk has come to it, or cannot go on without what failed.
func (w *walk) next() (changeset.Changeset, error) {
	version := w.version(w.pos)
	w.budget.need(version)
	for {
		if err := w.receiveAll(); err != nil {
			return changeset.Changeset{}, err
		}
		if err := w.schedule(); err != nil {
			return changeset.Changeset{}, err
		}
		if r, ready := w.ready(version); ready {
			if r.err != nil {
				return changeset.Changeset{}, r.err
			}
			c := changeset.Changeset{Header: r.header, Body: r.body}
			return c, w.check(c)
		}
		if w.running == 0 {
			return changeset.Changeset{}, w.failure
		}
		if err := w.receive(<-w.replies); err != nil {
			return changeset.Changeset{}, err
		}
	}
}

// ready returns the reply for a version, or the failed reply for its parent, if
// everything that is needed to yield the version has arrived. Walking backward
// the parent comes after the changeset that it proves.
func (w *walk) ready(version uint64) (*reply, bool) {
	r := w.fetched[version]
	if r == nil || r.kind != whole || !w.Backward || version == w.First || r.err != nil {
		return r, r != nil && r.kind == whole
	}
	parent := w.fetched[version-1]
	if parent != nil && parent.err != nil {
		return parent, true
	}
	return r, parent != nil
}

// check holds a changeset against its content's hash, what pointed at it, its
// parent and the digests, before it is yielded.
func (w *walk) check(c changeset.Changeset) error {
	if !w.Headers {
		if err := c.VerifyBody(); err != nil {
			return err
		}
	}
	if c.Version == w.head.Version {
		if err := w.head.VerifyNewest(c.Header); err != nil {
			return err
		}
	}
	if c.Version == 0 {
		return c.Header.Verify(changeset.Digest{})
	}
	if parent, ok := w.parent(c.Version); ok {
		if err := c.VerifyLink(parent); err != nil {
			return err
		}
		return c.Header.Verify(parent.Digest)
	}
	if w.After != nil && c.Version == w.First {
		if c.Parent != w.After.ID || c.Ancestors != w.After.Ancestors {
			return NotPassed(w.After.Ref, w.head.Ref)
		}
		return c.Header.Verify(w.After.Digest)
	}
	return nil
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

// release forgets a changeset that was yielded, except its header, which proves
// the next one.
func (w *walk) release(c changeset.Changeset) {
	delete(w.fetched, c.Version)
	delete(w.known, c.Version)
	delete(w.lookups, c.Version)
	w.yielded = &c.Header
	if !w.Headers {
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
func (w *walk) receive(replies []reply) error {
	w.running--
	for _, r := range replies {
		if err := w.record(r); err != nil {
			return err
		}
	}
	return nil
}

// record keeps a reply, and learns the IDs that its index holds.
func (w *walk) record(r reply) error {
	if r.kind != lookup {
		w.fetched[r.header.Version] = &r
	}
	if r.err != nil {
		w.failure = cmp.Or(w.failure, r.err)
		return nil
	}
	if r.kind == deferred {
		heap.Push(&w.pending, w.position(r.header.Version))
	}
	size := r.header.BodySize
	if w.Headers {
		size = 0
	}
	w.window.measure(r.took, size)
	return w.learn(r.header)
}

// learn adds the IDs of an ancestor index to the known IDs. If two indexes
// disagree, one of them is not what was written.
func (w *walk) learn(h changeset.Header) error {
	for version, id := range h.Ancestors.All() {
		if version < w.First || !w.Backward && version < w.version(w.pos) {
			continue
		}
		known, ok := w.known[version]
		if ok && known != id {
			return &changeset.CorruptError{Ref: h.Ref, Reason: fmt.Sprintf("its ancestor index has %s at version %d, a later one has %s", id, version, known)}
		}
		if !ok {
			w.know(version, id)
		}
	}
	return nil
}

// know adds an ID, and plans to fetch its changeset if the walk yields it.
func (w *walk) know(version uint64, id changeset.ID) {
	w.known[version] = id
	if w.First <= version && version <= w.Last {
		heap.Push(&w.pending, w.position(version))
	}
}
