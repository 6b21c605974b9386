package gc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

// place is a storage with one aggregate to be looked at.
type place struct {
	testing.TB
	changesets gc.Changesets
	heads      head.Store
	id         string
	options    *ropewalk.Options
}

// inMemory returns a place in a new memory, of two interfaces: put and swap are two steps.
func inMemory(t testing.TB) (place, *memstore.Store) {
	m := memstore.New()
	return place{t, m, faults.TwoSteps(m), "order-1", nil}, m
}

func (p place) chain() *ropewalk.Chain {
	return ropewalk.New(p.changesets, p.heads, p.options).Chain(p.id)
}

// of returns the place with another aggregate.
func (p place) of(id string) place {
	p.id = id
	return p
}

// grow makes n appends and returns the last one's head. The aggregate may be one
// of the library's own.
func (p place) grow(n int) head.Head {
	p.Helper()
	ctx := reserved.Open(p.Context())
	h := p.head()
	for range n {
		var err error
		h, err = p.chain().Append(ctx, h, draft(fmt.Sprintf("c%d", h.Revision)))
		require.NoError(p, err)
	}
	return h
}

func (p place) head() head.Head {
	p.Helper()
	h, err := p.heads.Load(p.Context(), p.id)
	require.NoError(p, err)
	return h
}

// orphan puts the objects of an append after a head, and swaps nothing.
func (p place) orphan(after head.Head, contents ...string) []changeset.Ref {
	p.Helper()
	var drafts []changeset.Draft
	for _, content := range contents {
		drafts = append(drafts, draft(content))
	}
	built, _, err := link.Extend(after, p.id, drafts, time.Now())
	require.NoError(p, err)
	var refs []changeset.Ref
	for _, c := range built {
		require.NoError(p, p.changesets.Put(p.Context(), c))
		refs = append(refs, c.Ref)
	}
	return refs
}

// objects returns the references of all stored objects.
func (p place) objects() (refs []changeset.Ref) {
	p.Helper()
	for o, err := range p.changesets.Objects(p.Context(), p.id) {
		require.NoError(p, err)
		refs = append(refs, o.Ref)
	}
	return refs
}

func (p place) collector(options gc.Options) *gc.Collector {
	return gc.New(p.changesets, p.heads, &options)
}

// collect deletes, at once.
func (p place) collect() (gc.Report, error) {
	return p.collector(gc.Options{Grace: -1, Delete: true}).Collect(p.Context(), p.id)
}

// verify proves the chain, and returns what is there.
func (p place) verify() inspect.Report {
	p.Helper()
	r, err := inspect.New(p.changesets, p.heads, nil).Verify(p.Context(), p.id)
	require.NoError(p, err)
	require.Empty(p, r.Problems)
	return r
}

// under returns the place under a script's faults.
func (p place) under(script *faults.Script) place {
	p.changesets = script.Changesets(p.changesets).(gc.Changesets)
	p.heads = faults.TwoSteps(script.Heads(p.heads))
	return p
}

// metered returns the place with its requests metered.
func (p place) metered(m *meter.Meter) place {
	p.changesets, p.heads = m.Changesets(p.changesets).(gc.Changesets), m.Heads(p.heads)
	return p
}

func draft(content string) changeset.Draft { return changeset.Draft{Content: []byte(content)} }
