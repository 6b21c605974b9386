package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// packed is a place with a chain of format 1 that was packed later: two changesets of
// format 1, packs, a tip, and packs beside the chain.
type packed struct {
	*testPlace
	t      *testing.T
	head   head.Head
	chain  []changeset.Changeset
	strict schemaSet
}

func newPacked(t *testing.T) *packed {
	p := &packed{testPlace: newTestPlace(), t: t}
	p.append(link.Layout{}, "0")
	p.append(link.Layout{}, "1")
	p.append(link.Layout{Packed: true, Tip: 1 << 20}, "2", "3")
	p.append(link.Layout{Packed: true}, "4")
	p.append(link.Layout{Packed: true}, strings.Repeat("five ", 300_000))
	p.append(link.Layout{Packed: true, Tip: 1 << 20}, "6")
	p.append(link.Layout{Packed: true, Tip: 1 << 20}, "7")
	return p
}

// build makes an append of one changeset for each content.
func (p *packed) build(l link.Layout, contents ...string) link.Append {
	p.t.Helper()
	drafts := make([]changeset.Draft, len(contents))
	for i, content := range contents {
		drafts[i] = changeset.Draft{Content: []byte(content), ContentType: "text/plain"}
	}
	a, err := link.Build(p.head, "order", [][]body.Draft{l.Drafts(p.head, drafts)}, time.Now(), l)
	require.NoError(p.t, err)
	return a
}

func (p *packed) put(a link.Append) {
	for _, o := range a.Objects {
		require.NoError(p.t, p.memory.Put(p.t.Context(), o))
	}
}

func (p *packed) append(l link.Layout, contents ...string) {
	a := p.build(l, contents...)
	p.put(a)
	next, err := p.memory.Swap(p.t.Context(), p.head, a.Next)
	require.NoError(p.t, err)
	p.head, p.chain = next, append(p.chain, a.Changesets...)
}

// schemas holds lines of JSON against the schemas.
func (p *packed) schemas(lines string) {
	p.t.Helper()
	if p.strict == nil {
		p.strict = compileSchemas(p.t)
	}
	require.NoError(p.t, p.strict.check([]byte(lines)))
}

// fields returns the object that a command prints with --json.
func (p *packed) fields(args ...string) map[string]any {
	p.t.Helper()
	r := p.run(p.t.Context(), "", append(args, "--json")...)
	require.Zero(p.t, r.exit, r.stderr)
	p.schemas(r.stdout)
	var all map[string]any
	require.NoError(p.t, json.Unmarshal([]byte(r.stdout), &all), r.stdout)
	return all
}

// TestShowSaysWhereAChangesetIsStored shows each changeset by every kind of reference.
func TestShowSaysWhereAChangesetIsStored(t *testing.T) {
	p := newPacked(t)
	first, _ := p.head.Index.Latest()
	alone := p.memory.Locate(first.Ref("order"))
	for version, want := range []struct {
		stored string
		line   any
		text   string
	}{
		{"", nil, "object        memory:changesets/order/00000000000000000000-"},
		{"", nil, "object        memory:changesets/order/00000000000000000001-"},
		{"pack", 1., "stored in     a pack, line 1: memory:changesets/order/00000000000000000002-00000000000000000004-"},
		{"pack", 2., "stored in     a pack, line 2: memory:changesets/order/00000000000000000002-00000000000000000004-"},
		{"pack", 3., "stored in     a pack, line 3: memory:changesets/order/00000000000000000002-00000000000000000004-"},
		{"", nil, "object        " + alone},
		{"head", 1., "stored in     the tip of the head, line 1: memory:heads/order"},
		{"head", 2., "stored in     the tip of the head, line 2: memory:heads/order"},
	} {
		id := p.chain[version].ID.String()
		for _, ref := range []string{fmt.Sprintf("order@%d", version), p.chain[version].Ref.String(), fmt.Sprintf("order@%d.%s", version, id[20:])} {
			r := p.run(t.Context(), "", "show", ref)
			require.Zero(t, r.exit, r.stderr)
			require.Contains(t, r.stdout, want.text, ref)
			require.Contains(t, r.stdout, p.chain[version].Ref.String())
			require.NotContains(t, r.stdout, "not in the chain")
			got := p.fields("show", ref)
			require.Equal(t, "committed", got["state"])
			require.Equal(t, want.line, got["line"])
			if want.stored == "" {
				require.Nil(t, got["stored_in"])
			} else {
				require.Equal(t, want.stored, got["stored_in"])
			}
			r = p.run(t.Context(), "", "cat", ref)
			require.Equal(t, string(p.chain[version].Content), r.stdout)
		}
	}
	r := p.run(t.Context(), "", "log", "order", "--json")
	require.Equal(t, 8, strings.Count(r.stdout, "\n"), r.stderr)
	r = p.run(t.Context(), "", "cat", "order@6..")
	require.Equal(t, "67", r.stdout)
}

// TestChangesetsInPacksBesideTheChainResolve shows, prints and settles changesets that
// lost a race, or that are pending, in packs with copies of the tip.
func TestChangesetsInPacksBesideTheChainResolve(t *testing.T) {
	p := newPacked(t)
	lost := p.build(link.Layout{}, "lost", "lost too")
	p.put(lost)
	p.append(link.Layout{Tip: 1 << 20}, "won")
	pending := p.build(link.Layout{}, "pending")
	p.put(pending)
	ahead := func() link.Append {
		was := p.head
		defer func() { p.head = was }()
		p.head = pending.Next
		return p.build(link.Layout{}, "ahead")
	}()
	p.put(ahead)
	for _, c := range []struct {
		changeset.Changeset
		state string
		line  any
		words string
	}{
		{lost.Changesets[0], "lost", 3., "not in the chain: lost, built on revision 7, the head is at 8"},
		{lost.Changesets[1], "lost", 4., "not in the chain: lost, built on revision 7, the head is at 8"},
		{pending.Changesets[0], "pending", 4., "not in the chain: pending, built on the head's present revision, 8"},
		{ahead.Changesets[0], "ahead", 1., "not in the chain: built on revision 9, which the head, at 8, has not reached"},
	} {
		id := c.ID.String()
		for _, ref := range []string{c.Ref.String(), fmt.Sprintf("order@%d.%s", c.Version, id[20:])} {
			got := p.fields("show", ref)
			require.Equal(t, c.state, got["state"])
			require.Equal(t, c.line, got["line"])
			require.Equal(t, "pack", got["stored_in"])
			require.Contains(t, p.run(t.Context(), "", "show", ref).stdout, c.words)
			require.Equal(t, string(c.Content), p.run(t.Context(), "", "cat", ref).stdout)
		}
	}
	for _, unknown := range []string{"order@8." + changeset.NewID().String(), "order@8.ffffffffffff"} {
		for _, command := range []string{"show", "cat"} {
			r := p.run(t.Context(), "", command, unknown)
			require.Equal(t, 3, r.exit, r.stderr)
		}
	}
	p.graphs(pending.Changesets[0])

	r := p.run(t.Context(), "", "settle", p.chain[3].Ref.String())
	require.Zero(t, r.exit, r.stderr)
	for _, c := range []changeset.Changeset{pending.Changesets[0], lost.Changesets[1]} {
		r = p.run(t.Context(), "", "settle", c.Ref.String())
		require.Equal(t, 4, r.exit, r.stderr)
	}
	r = p.run(t.Context(), "", "settle", pending.Changesets[0].Ref.String(), "--after-revision", "8")
	require.Equal(t, 4, r.exit, r.stderr)
}

// graphs draws the chain: forks are of the changesets that it does not have.
func (p *packed) graphs(pending changeset.Changeset) {
	r := p.run(p.t.Context(), "", "graph", "order")
	require.Zero(p.t, r.exit, r.stderr)
	var marks []string
	for line := range strings.Lines(r.stdout) {
		if cut := strings.Index(line, "01"); cut > 0 {
			line = line[:cut-1]
		}
		marks = append(marks, strings.TrimSpace(line))
	}
	require.Equal(p.t, []string{
		"+ 10", "?  9", "*  8", "| x  9", "| x  8", "|/", "*  7", "*  6", "*  5", "*  4", "*  3", "*  2", "*  1", "*  0",
	}, marks, r.stdout)
	require.Contains(p.t, r.stdout, "ropewalk settle "+pending.Ref.String())
	r = p.run(p.t.Context(), "", "graph", "order", "--json")
	p.schemas(r.stdout)
	require.Equal(p.t, 3, strings.Count(r.stdout, `"stored_in":"head"`))
	require.Equal(p.t, 3+4, strings.Count(r.stdout, `"stored_in":"pack"`), r.stdout)
	require.Equal(p.t, 13, strings.Count(r.stdout, `"object":`))
}

// TestHeadsAndTotalsOfPackedChains has what head and verify say of them.
func TestHeadsAndTotalsOfPackedChains(t *testing.T) {
	p := newPacked(t)
	r := p.run(t.Context(), "", "head", "order")
	require.Contains(t, r.stdout, fmt.Sprintf("tip        2 changesets, %d bytes\nobjects    2\n", len(p.head.Tip)))
	got := p.fields("head", "order")
	require.Equal(t, map[string]any{"changesets": 2., "bytes": float64(len(p.head.Tip))}, got["tip"])
	require.Equal(t, 2., got["objects"])
	r = p.run(t.Context(), "", "verify", "order")
	require.Zero(t, r.exit, r.stderr)
	require.Contains(t, r.stdout, "verified 1 aggregate, 8 changesets (2 in heads alone), 1.5 MB: 0 corrupt, 0 orphans, 0 pending")
	require.Equal(t, 2., p.fields("verify", "order")["in_heads"])
	for _, c := range p.chain {
		r = p.run(t.Context(), "", "verify", "order", "--digest", c.Digest.String())
		require.Zero(t, r.exit, r.stderr)
		require.Contains(t, r.stdout, "the digest belongs to "+c.Ref.String())
	}
	p.memory.Tamper(func(c *memstore.Contents) {
		for name, o := range c.Objects {
			if strings.Contains(name, "/00000000000000000002-") {
				o.Body[10] ^= 1
			}
		}
	})
	r = p.run(t.Context(), "", "verify", "order")
	require.Equal(t, 6, r.exit)
	require.Contains(t, r.stdout, "order@2-4  content does not match its sha256  memory:changesets/order/00000000000000000002-00000000000000000004-")
	r = p.run(t.Context(), "", "graph", "order")
	require.Equal(t, 6, r.exit)
	require.Contains(t, r.stdout, "versions 2 to 4 content does not match its sha256")
}

// TestRebuildHeadSaysWhatIsGone loses the head of a packed chain.
func TestRebuildHeadSaysWhatIsGone(t *testing.T) {
	p := newPacked(t)
	refused := p.build(link.Layout{}, "refused")
	p.put(refused)
	p.memory.Tamper(func(c *memstore.Contents) { clear(c.Heads) })
	r := p.run(t.Context(), "", "rebuild-head", "order", "--json", "--yes")
	require.Zero(t, r.exit, r.stderr)
	p.schemas(r.stdout)
	plan, _, _ := strings.Cut(r.stdout, "\n")
	require.Contains(t, plan, `"packed":true`)
	require.Contains(t, plan, `"under":"`+refused.Next.Ref.String()+`"`)
	require.Contains(t, plan, `"at":"`+refused.Next.Ref.String()+`"`)
	require.Contains(t, plan, "Which changesets were in the lost head alone, in its tip. They are gone, and how many there were is unknown.")

	p.memory.Tamper(func(c *memstore.Contents) { clear(c.Heads) })
	r = p.run(t.Context(), "", "rebuild-head", "order", "--yes", "--at", p.chain[7].Ref.String())
	require.Zero(t, r.exit, r.stderr)
	require.Contains(t, r.stdout, "; it is what 8 was built on")
	require.Contains(t, r.stdout, "written: "+p.chain[7].Ref.String())
	r = p.run(t.Context(), "", "cat", "order@6..")
	require.Equal(t, "67", r.stdout)
	r = p.run(t.Context(), "", "rebuild-head", "order")
	require.Contains(t, r.stdout, "Changesets that were in the tip of a newer head alone leave no trace.")

	r = p.run(t.Context(), "", "rebuild-head", "other")
	require.Equal(t, 3, r.exit)
	require.Contains(t, r.stderr, "if its chain was packed, its whole history may have been in its head")
}
