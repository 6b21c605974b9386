package feed

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/walk"
)

const (
	// viewAge is for how long a head that was loaded is good enough to read an older
	// version by.
	viewAge = time.Second
	// viewBytes is about how many bytes of the changesets of one aggregate are kept, and
	// viewsBytes of the changesets of all aggregates.
	viewBytes, viewsBytes = 4 << 20, 16 << 20
	// viewSize is about how many bytes a view takes beside changesets.
	viewSize = 2 << 10
)

// views are the chains of packed aggregates that one reading of the feed has met. They
// spare it the requests for what it has just read: the changesets of a packed chain
// share objects, and the newest are in the head. The chains that were used least
// recently are forgotten.
type views struct {
	*Feed
	mu             sync.Mutex
	recent, before map[string]*viewing
	spent          atomic.Int64 // bytes that were kept since the last turn
}

// viewing is a view, or its load under way.
type viewing struct {
	*shared[*view]
	at time.Time
}

func (f *Feed) newViews() *views {
	return &views{Feed: f, recent: map[string]*viewing{}, before: map[string]*viewing{}}
}

// errElsewhere says that a view does not have a changeset.
var errElsewhere = errors.New("the chain does not have the changeset")

// with returns what use makes of the view of a changeset's aggregate. The head is loaded
// again if the view was there before and does not have the changeset, or if an object is
// missing, which a later head may no longer name.
func with[T any](ctx context.Context, vs *views, ref ropewalk.Ref, use func(*view) (T, error)) (got T, err error) {
	at, known := vs.view(ctx, ref.AggregateID, nil)
	w, err := at.wait(ctx)
	for err == nil {
		got, err = use(w)
		_, missing := errors.AsType[*link.MissingError](err)
		if !missing && !(known && errors.Is(err, errElsewhere)) {
			break
		}
		next, _ := vs.view(ctx, ref.AggregateID, at)
		again, loadErr := next.wait(ctx)
		if loadErr != nil || !known && again.head.Revision <= w.head.Revision {
			err = cmp.Or(loadErr, err)
			break
		}
		at, w, known, err = next, again, false, nil
	}
	return got, gone(ref, err)
}

// gone returns the error of a changeset that the feed names and its chain does not have,
// or whose object is missing.
func gone(ref ropewalk.Ref, err error) error {
	if missing, ok := errors.AsType[*link.MissingError](err); ok {
		return walk.ReadError(missing.Ref, ropewalk.ErrNotFound)
	}
	if errors.Is(err, errElsewhere) {
		return walk.ReadError(ref, ropewalk.ErrNotFound)
	}
	return err
}

// view returns the view of an aggregate, but not the given one. It reports whether the
// view was there before the call.
func (vs *views) view(ctx context.Context, aggregateID string, not *viewing) (*viewing, bool) {
	v, known := vs.kept(aggregateID, not)
	if !known {
		w, err := vs.load(ctx, aggregateID)
		if err != nil {
			vs.forget(aggregateID, v)
		}
		v.set(w, err)
	}
	return v, known
}

// kept returns the view of an aggregate, or a new one that the caller must load.
func (vs *views) kept(aggregateID string, not *viewing) (v *viewing, known bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.spent.Load() > viewsBytes {
		vs.before, vs.recent = vs.recent, map[string]*viewing{}
		vs.spent.Store(0)
	}
	v = cmp.Or(vs.recent[aggregateID], vs.before[aggregateID])
	if known = v != nil && v != not && time.Since(v.at) < viewAge; !known {
		v = &viewing{newShared[*view](), time.Now()}
	}
	vs.recent[aggregateID] = v
	return v, known
}

// forget lets the next reader of an aggregate load its head.
func (vs *views) forget(aggregateID string, v *viewing) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, kept := range []map[string]*viewing{vs.recent, vs.before} {
		if kept[aggregateID] == v {
			delete(kept, aggregateID)
		}
	}
}

func (vs *views) load(ctx context.Context, aggregateID string) (*view, error) {
	h, err := vs.store.Chain(aggregateID).Head(ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return nil, err
	}
	if h.IsPacked() {
		vs.packed.Store(true)
	}
	vs.spent.Add(viewSize + int64(len(h.Tip)))
	return vs.newView(h, &vs.spent), nil
}

// view is the chain of an aggregate as of one head.
type view struct {
	*Feed
	head  head.Head
	spent *atomic.Int64

	mu      sync.Mutex
	known   []changeset.Entry     // objects of the chain, sorted by version
	base    changeset.Ref         // the newest changeset of format 1, once errBelow was returned
	tip     []changeset.Changeset // once it was needed
	objects map[changeset.Ref]*shared[[]changeset.Changeset]
	size    int // of the changesets in the objects
}

func (f *Feed) newView(h head.Head, spent *atomic.Int64) *view {
	w := &view{Feed: f, head: h, spent: spent, objects: map[changeset.Ref]*shared[[]changeset.Changeset]{}}
	if w.learn(h.Index); len(w.known) == 0 {
		w.base = h.PackedHeader().Ref
	}
	return w
}

// learn adds the objects of an index to the known ones.
func (w *view) learn(index changeset.ObjectIndex) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range index.All() {
		if at, found := w.search(e.Version); !found {
			w.known = slices.Insert(w.known, at, e)
		}
	}
}

func (w *view) search(version uint64) (int, bool) {
	return slices.BinarySearchFunc(w.known, version, func(e changeset.Entry, v uint64) int { return cmp.Compare(e.Version, v) })
}

// nearest returns the lowest known object that ends at a version or above.
func (w *view) nearest(version uint64) (object changeset.Ref, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, _ := w.search(version)
	if at == len(w.known) {
		return changeset.Ref{}, false
	}
	return w.known[at].Ref(w.head.AggregateID), true
}

// packedFrom returns the lowest version that is known to be packed.
func (w *view) packedFrom() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.head.IsPacked():
		return math.MaxUint64
	case len(w.known) == 0:
		return w.head.Index.Next()
	default:
		return w.known[0].Ref(w.head.AggregateID).First()
	}
}

// errBelow says that a changeset is an object of format 1.
var errBelow = errors.New("the changeset is not packed")

// at returns the changeset at a version of a packed chain. Its error is errElsewhere
// if the version lies beyond the head, errBelow if the changeset is of format 1, or
// the error of reading an object.
func (w *view) at(ctx context.Context, version uint64) (changeset.Changeset, error) {
	switch {
	case !w.head.IsPacked():
		return changeset.Changeset{}, errBelow
	case version > w.head.Version:
		return changeset.Changeset{}, errElsewhere
	case version >= w.head.Index.Next():
		return w.inTip(version - w.head.Index.Next())
	}
	object, err := w.objectOf(ctx, version)
	if err != nil {
		return changeset.Changeset{}, err
	}
	all, err := w.open(ctx, object)
	if err != nil {
		return changeset.Changeset{}, err
	}
	return own(all[version-object.First()], len(all)), nil
}

// own returns a changeset whose content shares no memory with the other changesets of
// its object or tip: a handler may change or keep what it gets.
func own(c changeset.Changeset, of int) changeset.Changeset {
	if of > 1 {
		c.Content = bytes.Clone(c.Content)
		c.Body = c.Content
	}
	return c
}

func (w *view) inTip(n uint64) (c changeset.Changeset, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tip == nil {
		w.tip, err = w.head.TipChangesets()
	}
	if err != nil {
		return c, err
	}
	return own(w.tip[n], len(w.tip)), nil
}

// objectOf returns the object that has a version.
func (w *view) objectOf(ctx context.Context, version uint64) (changeset.Ref, error) {
	for {
		object, ok := w.nearest(version)
		if !ok || object.First() <= version {
			return object, below(ok)
		}
		info, err := w.store.Changesets().Stat(ctx, object)
		switch {
		case errors.Is(err, changeset.ErrNotFound):
			return object, &link.MissingError{Ref: object}
		case err != nil:
			return object, walk.ReadError(object, err)
		case info.Ref != object || info.Pack == nil:
			return object, &changeset.CorruptError{Ref: object, Reason: "the object belongs to " + info.Ref.String()}
		case info.Pack.Index.Objects() == 0:
			w.setBase(info.ParentOf().Ref)
			return object, errBelow
		}
		w.learn(info.Pack.Index)
	}
}

func (w *view) setBase(ref changeset.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base = ref
}

func below(packed bool) error {
	if packed {
		return nil
	}
	return errBelow
}

// open returns the changesets of an object, which is read once for all that wait.
func (w *view) open(ctx context.Context, object changeset.Ref) ([]changeset.Changeset, error) {
	w.mu.Lock()
	read, known := w.objects[object]
	if !known {
		read = newShared[[]changeset.Changeset]()
		w.objects[object] = read
	}
	w.mu.Unlock()
	if !known {
		_, all, err := link.Open(ctx, w.store.Changesets(), object, w.store.Options().MaxContentSize)
		w.keep(object, read, all, err)
		read.set(all, err)
	}
	return read.wait(ctx)
}

// keep takes account of an object that was read. What failed is not kept, and the other
// objects give way to this one if there is no room.
func (w *view) keep(object changeset.Ref, read *shared[[]changeset.Changeset], all []changeset.Changeset, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		delete(w.objects, object)
		return
	}
	size := 0
	for _, c := range all {
		size += len(c.Content)
	}
	w.spent.Add(int64(size))
	if w.size += size; w.size > viewBytes {
		clear(w.objects) // those that are still being read, too: their readers have them
		w.objects[object], w.size = read, size
	}
}

// read returns a changeset that the feed names, which is sought as an object of format 1
// unless it is known to be packed, or that was tried before. Its error is errElsewhere if
// the chain has another changeset at that version, or none.
func (w *view) read(ctx context.Context, ref ropewalk.Ref, tried bool) (ropewalk.Changeset, error) {
	if !tried && ref.Version < w.packedFrom() {
		c, err := w.object(ctx, ref)
		if !absent(err) {
			return c, readError(ref, err)
		}
	}
	c, err := w.at(ctx, ref.Version)
	if errors.Is(err, errBelow) || err == nil && c.ID != ref.ID {
		err = errElsewhere
	}
	return c, err
}

// span yields versions of a packed chain, which also may begin as a chain of format 1.
func (w *view) span(ctx context.Context, versions ropewalk.Range) iter.Seq2[ropewalk.Changeset, error] {
	if versions.First < w.packedFrom() {
		return w.store.Chain(w.head.AggregateID).ReaderAt(w.head).Changesets(ctx, versions)
	}
	return func(yield func(ropewalk.Changeset, error) bool) {
		for version := versions.First; version <= versions.Last; version++ {
			c, err := w.at(ctx, version)
			if !yield(c, gone(c.Ref, err)) || err != nil {
				return
			}
		}
	}
}
