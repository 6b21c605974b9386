package gc_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// tipSize is the size of tips in these tests: three lines fit, and a fourth does not.
const tipSize = 700

// packed returns the place with appends to packed chains.
func (p place) packed() place {
	p.options = &ropewalk.Options{Packed: true, TipSize: tipSize}
	return p
}

// put builds an append after a head, puts its objects, and swaps nothing.
func (p place) put(after head.Head, l link.Layout, contents ...string) link.Append {
	p.Helper()
	var drafts []changeset.Draft
	for _, content := range contents {
		drafts = append(drafts, draft(content))
	}
	a, err := link.Build(after, p.id, [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), l)
	require.NoError(p, err)
	for _, o := range a.Objects {
		require.NoError(p, p.changesets.Put(p.Context(), o))
	}
	return a
}

// spill is put with the tip moved into objects.
func (p place) spill(after head.Head, contents ...string) link.Append {
	p.Helper()
	a := p.put(after, link.Layout{Packed: true}, contents...)
	require.NotEmpty(p, a.Objects)
	return a
}

// pile appends n objects of three changesets each, and returns the heads.
func (p place) pile(n int) (heads []head.Head) {
	p.Helper()
	h := p.head()
	for range n {
		h = p.swap(h, p.spill(h, "x", "y", "z").Next)
		heads = append(heads, h)
	}
	return heads
}

// swap swaps the head from a record to another.
func (p place) swap(old, next head.Head) head.Head {
	p.Helper()
	h, err := p.heads.Swap(p.Context(), old, next)
	require.NoError(p, err)
	return h
}

// flush moves the tip into an object.
func (p place) flush() gc.Flushed {
	p.Helper()
	f, err := p.collector(gc.Options{}).Flush(p.Context(), p.id)
	require.NoError(p, err)
	return f
}

// whole is a chain as it is stored.
type whole struct {
	changesets []changeset.Changeset
	objects    map[changeset.Ref]bool // the chain's own
}

func (w whole) texts() (texts []string) {
	for _, c := range w.changesets {
		texts = append(texts, string(c.Content))
	}
	return texts
}

// readWhole reads and proves all of the chain of a head: every link, index, digest and
// revision.
func readWhole(ctx context.Context, store changeset.Store, h head.Head) (w whole, err error) {
	w.objects = map[changeset.Ref]bool{}
	if !h.Exists() || h.State == head.Erased {
		return w, nil
	}
	parent := changeset.Header{Ref: h.Ref, Digest: h.Digest}
	if h.IsPacked() {
		if w.changesets, err = h.TipChangesets(); err != nil {
			return w, err
		}
		slices.Reverse(w.changesets)
		if parent, err = w.readPacked(ctx, store, h); err != nil {
			return w, err
		}
	}
	if err := w.readFormat1(ctx, store, parent, h.Ancestors); err != nil {
		return w, err
	}
	slices.Reverse(w.changesets)
	return w, w.prove(h)
}

// readPacked reads the objects of format 2, newest first, and returns what is before them.
func (w *whole) readPacked(ctx context.Context, store changeset.Store, h head.Head) (changeset.Header, error) {
	parent, index, after := h.PackedHeader(), h.Index, h.Revision
	for e, ok := index.Latest(); ok; e, ok = index.Latest() {
		ref := e.Ref(h.AggregateID)
		o, err := store.Get(ctx, ref, nil)
		if err != nil {
			return parent, fmt.Errorf("%s of the chain: %w", ref, err)
		}
		content, err := body.Decode(o, changeset.MaxReadBody)
		if err != nil {
			return parent, err
		}
		all, err := changeset.Unpack(o, content)
		if err != nil {
			return parent, err
		}
		newest := all[len(all)-1]
		switch {
		case newest.ID != parent.ID || o.Digest != parent.Digest:
			return parent, fmt.Errorf("%s does not end in %s", ref, parent.Ref)
		case o.Pack.Index.Push(ref) != index:
			return parent, fmt.Errorf("the index after %s does not follow from its own", ref)
		case o.AfterRevision >= after:
			return parent, fmt.Errorf("%s was put for revision %d, and the next object for %d", ref, o.AfterRevision, after)
		}
		slices.Reverse(all)
		w.changesets, w.objects[ref] = append(w.changesets, all...), true
		after, index, parent = o.AfterRevision+1, o.Pack.Index, o.ParentOf()
	}
	return parent, nil
}

// readFormat1 reads the objects of format 1, newest first. The index is of the changeset
// after the newest, or zero if nothing has it.
func (w *whole) readFormat1(ctx context.Context, store changeset.Store, newest changeset.Header, index changeset.Index) error {
	for parent := newest; !parent.ID.IsZero(); {
		c, err := store.Get(ctx, parent.Ref, nil)
		switch {
		case err != nil:
			return fmt.Errorf("%s of the chain: %w", parent.Ref, err)
		case c.Digest != parent.Digest && !parent.Digest.IsZero():
			return fmt.Errorf("%s has another digest", c.Ref)
		case index != (changeset.Index{}) && c.Ancestors.Push(c.ID) != index:
			return fmt.Errorf("the index after %s does not follow from its own", c.Ref)
		}
		c.Content, index = c.Body, c.Ancestors
		w.changesets, w.objects[c.Ref] = append(w.changesets, c), true
		parent = changeset.Header{Ref: changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}}
	}
	return nil
}

// prove proves the changesets from the first one to the head.
func (w whole) prove(h head.Head) error {
	var before changeset.Header
	for i, c := range w.changesets {
		if c.Version != uint64(i) {
			return fmt.Errorf("version %d is missing", i)
		}
		if err := c.Verify(before.Digest); err != nil {
			return err
		}
		if i > 0 {
			if err := c.VerifyLink(before); err != nil {
				return err
			}
		}
		before = c.Header
	}
	return h.VerifyNewest(before)
}

// requireWhole requires that the chain is whole, and that nothing but the chain is
// stored if only is true.
func (p place) requireWhole(only bool) whole {
	p.Helper()
	h := p.head()
	w, err := readWhole(p.Context(), p.changesets, h)
	require.NoError(p, err)
	require.Len(p, w.changesets, int(h.Len()))
	if only {
		for _, ref := range p.objects() {
			require.True(p, w.objects[ref], "%s is no object of the chain", ref)
		}
	}
	return w
}

// absorbed returns an object of the changesets of the newest object and of the tip, and the
// head that it is for. A later version of the library may replace objects so.
func absorbed(h head.Head, newest changeset.Changeset) (head.Head, changeset.Changeset) {
	last := h.PackedHeader()
	if h.Tip != "" {
		last.Ref, last.Digest = h.Ref, h.Digest
	}
	index := newest.Pack.Index
	o := changeset.NewPack(changeset.NewID(), h.Revision, index, newest.ParentOf(), last, append(newest.Body, h.Tip...))
	next := h
	next.Revision++
	next.Tip, next.Index, next.PackedID, next.PackedDigest = "", index.Push(o.Ref), last.ID, last.Digest
	return next, o
}
