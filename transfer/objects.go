package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/walk"
)

const (
	// readCount and readBytes bound what is read ahead of one aggregate.
	readCount = 64
	readBytes = 8 << 20
	// maxPuts is the largest number of puts under way of one aggregate.
	maxPuts = 16
)

// putObjects puts the objects that the chain of the source has and the chain of the
// destination does not have. Each is put when all of its changesets have been proved.
func (w *work) putObjects(ctx context.Context) error {
	s := w.report.Source
	w.report.Changesets = 0
	if s.State == head.Erased {
		return nil
	}
	first, after, err := w.begin(ctx)
	if err != nil {
		return err
	}
	stored, err := w.stored(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxPuts)
	p := puts{work: w, group: group, stored: stored}
	seen := newCatcher(w.from.Changesets)
	err = p.run(ctx, walk.Chain{Store: seen, Head: s, Load: w.present}, walk.Span{First: first, Last: s.Version, After: after}, seen)
	err = cmp.Or(group.Wait(), err)
	w.report.Objects += p.objects.Load()
	w.report.Bytes += p.bytes.Load()
	return err
}

// begin returns the first version that may be missing at the destination, and the head
// before it. The objects of the destination are known to be objects of the source if
// its newest one is.
func (w *work) begin(ctx context.Context) (first uint64, after *head.Head, _ error) {
	d := w.report.Destination
	if first = d.Len(); d.IsPacked() {
		first = d.Index.Next()
	}
	if first == 0 {
		return 0, nil, nil
	}
	place, err := locate(ctx, w.from.Changesets, w.report.Source, first-1)
	if err != nil {
		return 0, nil, err
	}
	if newest, ok := d.Index.Latest(); ok && place.Object != newest.Ref(d.AggregateID) {
		return 0, nil, nil // was packed otherwise
	}
	return first, &place.At, nil
}

// stored returns the sizes of the objects that an earlier copy has put. If the
// destination has a head, what follows it is put again, which changes nothing.
func (w *work) stored(ctx context.Context) (map[changeset.Ref]int64, error) {
	lister, ok := changeset.As[changeset.Lister](w.to.Changesets)
	if !ok || w.report.Destination.Exists() {
		return nil, nil
	}
	sizes := map[changeset.Ref]int64{}
	for o, err := range lister.Objects(ctx, w.report.AggregateID) {
		if err != nil {
			return nil, fmt.Errorf("list the objects of the destination: %w", err)
		}
		sizes[o.Ref] = o.Size
	}
	return sizes, nil
}

// present returns the head that is copied, or the tombstone that has replaced it, with an
// error.
func (w *work) present(ctx context.Context) (head.Head, error) {
	h, err := w.from.Heads.Load(ctx, w.report.AggregateID)
	if err == nil && h.State == head.Erased {
		return h, ropewalk.ErrErased
	}
	return w.report.Source, err
}

// puts are the puts of one aggregate.
type puts struct {
	*work
	group          *errgroup.Group
	stored         map[changeset.Ref]int64
	objects, bytes atomic.Int64
}

// run reads a span of the chain of the source, and puts its objects.
func (p *puts) run(ctx context.Context, chain walk.Chain, s walk.Span, seen *catcher) error {
	limits := walk.Limits{WindowCount: readCount, WindowBytes: readBytes, MaxContentSize: p.options.MaxContentSize}
	for c, err := range chain.Changesets(ctx, s, limits) {
		if err != nil {
			return err
		}
		if o, ok := seen.objectOf(c); ok {
			if err := p.put(ctx, o); err != nil {
				return err
			}
		}
		p.report.Changesets++
		if p.options.Progress != nil {
			p.options.Progress(1)
		}
	}
	return nil
}

// put begins to put an object, unless it is stored.
func (p *puts) put(ctx context.Context, o changeset.Changeset) error {
	if size, ok := p.stored[o.Ref]; ok {
		if size != o.BodySize {
			return p.differs(o, size)
		}
		return nil
	}
	weight := min(max(o.BodySize, 1), p.options.MaxBytesInFlight)
	if err := p.Copier.bytes.Acquire(ctx, weight); err != nil {
		return err
	}
	p.group.Go(func() error {
		defer p.Copier.bytes.Release(weight)
		o.Content = nil
		if err := p.to.Changesets.Put(ctx, o); err != nil {
			return fmt.Errorf("put %s: %w", o.Ref, err)
		}
		p.objects.Add(1)
		p.bytes.Add(o.BodySize)
		return nil
	})
	return nil
}

// differs returns the error of an object of the destination that is not the source's.
func (p *puts) differs(o changeset.Changeset, size int64) error {
	corrupt := &changeset.CorruptError{Ref: o.Ref, Reason: fmt.Sprintf("at the destination it has %d bytes, and %d at the source", size, o.BodySize)}
	if l, ok := changeset.As[changeset.Locator](p.to.Changesets); ok {
		corrupt.Object = l.Locate(o.Ref)
	}
	return corrupt
}

// catcher keeps the objects of format 2 that a reader reads, until their last changeset
// has been proved. The reader's window bounds them.
type catcher struct {
	changeset.PassThrough
	mu      sync.Mutex
	objects map[uint64]changeset.Changeset // by their last version
}

func newCatcher(inner changeset.Store) *catcher {
	return &catcher{PassThrough: changeset.NewPassThrough(inner), objects: map[uint64]changeset.Changeset{}}
}

// Get reads an object and keeps it.
func (s *catcher) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	o, err := s.PassThrough.Get(ctx, ref, admission)
	if err == nil && o.Ref == ref {
		s.keep(o)
	}
	return o, err
}

// GetMany reads objects and keeps them.
func (s *catcher) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	all, err := s.PassThrough.GetMany(ctx, refs, admission)
	for _, o := range all {
		if slices.Contains(refs, o.Ref) {
			s.keep(o)
		}
	}
	return all, err
}

func (s *catcher) keep(o changeset.Changeset) {
	if !o.IsPacked() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[o.Version] = o
}

// objectOf returns the object that a changeset completes: the changeset itself in format
// 1. It returns false before the last changeset of an object, and for a changeset in the
// tip.
func (s *catcher) objectOf(c changeset.Changeset) (changeset.Changeset, bool) {
	if c.Format() == changeset.Format {
		return c, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[c.Version]
	delete(s.objects, c.Version)
	return o, ok && o.Digest == c.Digest
}
