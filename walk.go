package ropewalk

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// span says what a walk yields: the versions first to last, both included.
type span struct {
	first, last uint64
	backward    bool
	headers     bool       // without contents
	after       *head.Head // at first-1, where that is known
}

func (s span) check(r *Reader) error {
	if err := changeset.ValidateAggregateID(r.id); err != nil {
		return err
	}
	switch {
	case r.head.AggregateID != r.id && r.head.Exists():
		return fmt.Errorf("the head is that of %q, not of %q", r.head.AggregateID, r.id)
	case r.head.State == head.Erased:
		return fmt.Errorf("chain %q: %w", r.id, ErrErased)
	case s.first > s.last:
		return fmt.Errorf("range %d..%d of %q: the first version is above the last one", s.first, s.last, r.id)
	case s.last >= r.head.Ancestors.Version():
		return fmt.Errorf("version %d of %q, which is at %d: %w", s.last, r.id, r.head.Version, ErrNotFound)
	}
	return nil
}

// version returns the version at a place of the span, counted from 0 in the order of the walk.
func (s span) version(place uint64) uint64 {
	if s.backward {
		return s.last - place
	}
	return s.first + place
}

// walk reads the changesets of a span in order, many at once.
//
// It knows the IDs that the head's ancestor index holds, and learns more from
// the index of every header that arrives. Within a window ahead of the place
// to be yielded next it fetches every version whose ID it knows; each fetch
// reveals others, so that whole histories come in rounds of parallel reads. An
// ID that it needs and does not know it looks up: the nearest known version
// above has it in its index, or knows another one nearer by.
//
// Where the store reads many changesets by one request, what can be asked for
// at one time is one request, and the window is filled up when half of it has
// been consumed.
//
// One goroutine, the consumer's, owns all state and runs the loop; a goroutine
// for each request only sends its reply. Nothing is under way between two
// walks, and when a walk ends it waits for what it has cancelled.
type walk struct {
	span
	reader  *Reader
	ctx     context.Context
	cancel  context.CancelFunc
	many    changeset.ManyGetter // nil where the store is none
	replies chan []reply
	running int // requests under way
	budget  *budget
	window  window

	place   uint64                  // to be yielded next
	scanned uint64                  // every place before has a known ID
	known   map[uint64]changeset.ID // by version, not yet yielded
	todo    places                  // known, and to be fetched
	wanted  []changeset.Ref         // to be fetched by one request
	looked  map[uint64]bool         // looked up outside of the window
	fetched map[uint64]*reply       // within the window; nil while under way
	yielded *changeset.Header       // the latest
	failure error                   // of the first request that failed
}

// reply is what came of one request.
type reply struct {
	header  changeset.Header
	content []byte
	err     error
	kind    kind
	took    time.Duration // 0 where that tells nothing
}

// kind says how much of a changeset a reply has.
type kind int

const (
	whole    kind = iota // all that the walk yields
	deferred             // all but the content, which had no room yet: to be fetched again
	lookup               // the header alone, of a version outside of the window
)

func newWalk(ctx context.Context, r *Reader, s span) *walk {
	o := r.store.options
	w := &walk{
		span: s, reader: r,
		replies: make(chan []reply),
		budget:  &budget{limit: o.WindowBytes},
		window:  window{fixed: o.WindowCount, bytes: o.WindowBytes},
		known:   map[uint64]changeset.ID{},
		looked:  map[uint64]bool{},
		fetched: map[uint64]*reply{},
	}
	if many, ok := changeset.Many(r.changesets); ok && !s.headers {
		w.many, w.window.many = many, true
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	for version, id := range r.head.Ancestors.All() {
		w.know(version, id)
	}
	return w
}

// run yields the changesets of the span, and ends with the first error.
func (w *walk) run(yield func(changeset.Changeset, error) bool) {
	defer w.stop()
	for ; w.place <= w.last-w.first; w.place++ {
		c, err := w.next()
		if err != nil {
			yield(changeset.Changeset{}, w.reader.store.located(err))
			return
		}
		if !yield(c, nil) {
			return
		}
		w.leave(c)
	}
}

// stop cancels what is under way and waits for it, so that no goroutine outlives the loop.
func (w *walk) stop() {
	w.cancel()
	for ; w.running > 0; w.running-- {
		<-w.replies
	}
}

// next returns the changeset at the present place, checked. An error further
// on waits until the walk has come to it, or cannot go on without what failed.
func (w *walk) next() (changeset.Changeset, error) {
	version := w.version(w.place)
	w.budget.need(version)
	for {
		if err := w.takeAll(); err != nil {
			return changeset.Changeset{}, err
		}
		if err := w.schedule(); err != nil {
			return changeset.Changeset{}, err
		}
		if r, ready := w.ready(version); ready {
			if r.err != nil {
				return changeset.Changeset{}, r.err
			}
			c := changeset.Changeset{Header: r.header, Content: r.content}
			return c, w.check(c)
		}
		if w.running == 0 {
			return changeset.Changeset{}, w.failure
		}
		if err := w.take(<-w.replies); err != nil {
			return changeset.Changeset{}, err
		}
	}
}

// ready returns the reply for a version, or the failed one for its parent, if
// all that is needed to yield the version is there. Walking backward the
// parent comes after the changeset that it proves.
func (w *walk) ready(version uint64) (*reply, bool) {
	r := w.fetched[version]
	if r == nil || r.kind != whole || !w.backward || version == w.first || r.err != nil {
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
	if !w.headers {
		if err := c.VerifyContent(); err != nil {
			return err
		}
	}
	if c.Version == w.reader.head.Version {
		if err := w.reader.head.VerifyNewest(c.Header); err != nil {
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
	if w.after != nil && c.Version == w.first {
		if c.Parent != w.after.ID || c.Ancestors != w.after.Ancestors {
			return notPassed(w.after.Ref, w.reader.head.Ref)
		}
		return c.Header.Verify(w.after.Digest)
	}
	return nil
}

// parent returns the header one version below, where the walk reads that too.
func (w *walk) parent(version uint64) (changeset.Header, bool) {
	switch {
	case version == w.first:
		return changeset.Header{}, false
	case w.backward:
		return w.fetched[version-1].header, true
	default:
		return *w.yielded, true
	}
}

// leave forgets a changeset that was yielded, but its header, which proves the next.
func (w *walk) leave(c changeset.Changeset) {
	delete(w.fetched, c.Version)
	delete(w.known, c.Version)
	delete(w.looked, c.Version)
	w.yielded = &c.Header
	if !w.headers {
		w.budget.add(-c.ContentSize)
	}
}

// takeAll files the replies that have arrived meanwhile.
func (w *walk) takeAll() error {
	for {
		select {
		case r := <-w.replies:
			if err := w.take(r); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// take files the replies of one request.
func (w *walk) take(replies []reply) error {
	w.running--
	for _, r := range replies {
		if err := w.file(r); err != nil {
			return err
		}
	}
	return nil
}

// file keeps a reply, and learns the IDs that its index holds.
func (w *walk) file(r reply) error {
	if r.kind != lookup {
		w.fetched[r.header.Version] = &r
	}
	if r.err != nil {
		w.failure = cmp.Or(w.failure, r.err)
		return nil
	}
	if r.kind == deferred {
		heap.Push(&w.todo, w.placeOf(r.header.Version))
	}
	if w.headers {
		w.window.measure(r.took, 0)
	} else {
		w.window.measure(r.took, r.header.ContentSize)
	}
	return w.learn(r.header)
}

func (w *walk) placeOf(version uint64) uint64 {
	if w.backward {
		return w.last - version
	}
	return version - w.first
}

// learn adds what an ancestor index tells to what is known. Where two indexes
// disagree, one of them is not what was written.
func (w *walk) learn(h changeset.Header) error {
	for version, id := range h.Ancestors.All() {
		if version < w.first || !w.backward && version < w.version(w.place) {
			continue
		}
		known, ok := w.known[version]
		if ok && known != id {
			return &CorruptError{Ref: h.Ref, Reason: fmt.Sprintf("its ancestor index has %s at version %d, a later one has %s", id, version, known)}
		}
		if !ok {
			w.know(version, id)
		}
	}
	return nil
}

// know adds an ID, and sees to it that its changeset is fetched if the walk yields it.
func (w *walk) know(version uint64, id changeset.ID) {
	w.known[version] = id
	if w.first <= version && version <= w.last {
		heap.Push(&w.todo, w.placeOf(version))
	}
}

// places is a heap of places, the first one on top.
type places []uint64

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i] < p[j] }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *places) Push(place any)    { *p = append(*p, place.(uint64)) }

func (p *places) Pop() any {
	last := len(*p) - 1
	place := (*p)[last]
	*p = (*p)[:last]
	return place
}
