package inspect_test

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

var everyByte = flag.Bool("everybyte", false, "flip every byte of packed chains of all kinds, not one in many")

func TestPackedChainsVerify(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			b := k.bench(t)
			r := b.verify()
			require.Empty(t, r.Problems)
			require.EqualValues(t, b.head.Len(), r.Committed)
			tip, err := b.head.TipChangesets()
			require.NoError(t, err)
			require.Equal(t, len(tip), r.InHead)
			require.Zero(t, r.Pending+r.Ahead+r.Unknown)
			headers, err := inspect.New(b, b, &inspect.Options{HeadersOnly: true}).Verify(t.Context(), b.id)
			require.NoError(t, err)
			require.Empty(t, headers.Problems)
			require.Equal(t, r.Committed, headers.Committed)
		})
	}
}

// damages returns every flip of each byte of the objects and of the head.
func (b *bench) damages(mask byte) (all []damage) {
	var stored memstore.Contents
	b.Clone().Tamper(func(c *memstore.Contents) { stored = *c })
	for _, o := range b.objects() {
		all = append(all, flips(o, *stored.Objects[o.ObjectName()], mask)...)
	}
	return append(all, headFlips(b.id, stored.Heads[head.ObjectName(b.id)], mask)...)
}

// named does a damage to a copy, and returns what verify names.
func (b *bench) named(t *testing.T, d damage) map[changeset.Ref]string {
	hurt := b.clone(t)
	hurt.Tamper(d.do)
	named := map[changeset.Ref]string{}
	for _, p := range hurt.verify().Problems {
		named[p.Ref] = p.Reason
		if p.Missing != (changeset.Ref{}) {
			named[p.Missing] = p.Reason
		}
	}
	return named
}

// TestEveryFlippedByteOfPackedChainsIsNamed also finds that nothing else is named. Only
// the after-revision of an object that no append created, but a flush, is not proved
// exactly: it lies between the revisions that its changesets, and the next ones, were
// built on, and means nothing but that the object was put meanwhile.
func TestEveryFlippedByteOfPackedChainsIsNamed(t *testing.T) {
	for at, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			b := k.bench(t)
			step := k.step
			if !*everyByte {
				step = 97 * k.step
			}
			for i, d := range b.damages(1) {
				if i%step != 7*at%step {
					continue
				}
				named := b.named(t, d)
				if strings.HasPrefix(d.name, "after-revision") && b.flushed(d.hurt[0]) {
					continue
				}
				require.Contains(t, named, d.hurt[0], d.name)
				for _, reason := range named {
					require.True(t, len(named) == 1 || strings.HasSuffix(reason, "is missing"), "%s: others are named: %v", d.name, named)
				}
			}
		})
	}
}

// flushed reports whether no append created an object.
func (b *bench) flushed(ref changeset.Ref) bool {
	for _, o := range b.objects() {
		if o.Ref == ref && o.Pack != nil && o.Encoding == "" {
			all, err := changeset.Unpack(o, o.Body)
			return err == nil && all[len(all)-1].ID != o.ID
		}
	}
	return false
}

// mixed is a chain that was packed after two changesets of format 1, with orphans.
func mixed(t *testing.T) *bench {
	b := newBench(t, order)
	b.append(draft("old"))
	b.append(draft("older"))
	spilled(b)
	orphans(b)
	return b
}

func TestEveryMovedPackIsNamed(t *testing.T) {
	b := mixed(t)
	all := b.objects()
	for i, a := range all {
		for _, c := range all[i+1:] {
			named := b.named(t, damage{do: func(m *memstore.Contents) {
				m.Objects[a.ObjectName()], m.Objects[c.ObjectName()] = m.Objects[c.ObjectName()], m.Objects[a.ObjectName()]
			}})
			require.Contains(t, named, a.Ref)
			require.Contains(t, named, c.Ref)
		}
		for _, name := range []changeset.Ref{
			{AggregateID: b.id, Version: a.Version, ID: changeset.NewID(), Count: a.Count},
			{AggregateID: b.id, Version: a.Version, ID: a.ID, Count: a.Count + 1},
			{AggregateID: b.id, Version: a.Version + 1, ID: a.ID, Count: a.Count},
			{AggregateID: b.id, Version: math.MaxUint64 - 1, ID: a.ID, Count: a.Count + 3},
		} {
			named := b.named(t, damage{do: func(m *memstore.Contents) { m.Objects[name.ObjectName()] = m.Objects[a.ObjectName()] }})
			require.Contains(t, named, name)
			require.Len(t, named, 1)
		}
	}
}

func TestEveryRemovedPackIsNamed(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("old"))
	long(b)
	all := b.objects()
	require.Len(t, all, 16)
	for i, o := range all {
		hurt := b.clone(t)
		hurt.Tamper(remove(o.Ref))
		r := hurt.verify()
		p := r.Problems[0]
		require.Equal(t, o.Ref, p.Missing)
		if i+1 < len(all) {
			require.Equal(t, all[i+1].Ref, p.Ref)
		} else {
			require.Zero(t, p.Ref.ID)
			require.Contains(t, p.String(), "its newest object is missing")
		}
		require.EqualValues(t, b.head.Len(), r.Committed+r.Unknown+max(1, int(o.Count)), "the others are found through the object index")
		require.Zero(t, r.Lost)
		require.NotEmpty(t, hurt.graph(0).Nodes)
		_, err := hurt.plan()
		require.ErrorContains(t, err, "cannot be rolled forward")
	}
}

func TestTruncatedPacksAreNamed(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("a"), draft("b"))
	pack := b.spill(draft(strings.Repeat("c", 1000))).Objects[0]
	require.NotEmpty(t, pack.Encoding)
	plain := b.orphanPack(draft("d")).Objects[0]
	for _, o := range []changeset.Changeset{pack, plain} {
		for n := 0; n < len(o.Body); n += 17 {
			named := b.named(t, damage{do: func(m *memstore.Contents) { m.Objects[o.ObjectName()].Body = o.Body[:n] }})
			require.Equal(t, map[changeset.Ref]string{o.Ref: fmt.Sprintf("content has %d bytes, not %d", n, n)}, withSize(named, n))
		}
	}
}

// withSize replaces what memory, which stores no size, says of a truncated body.
func withSize(named map[changeset.Ref]string, n int) map[changeset.Ref]string {
	for ref := range named {
		named[ref] = fmt.Sprintf("content has %d bytes, not %d", n, n)
	}
	return named
}

// forge stores an object that no writer makes, in place of another one.
func (b *bench) forge(o changeset.Changeset, change func(*changeset.Changeset)) changeset.Ref {
	b.Tamper(func(m *memstore.Contents) { delete(m.Objects, o.ObjectName()) })
	pack := *o.Pack
	o.Pack = &pack
	change(&o)
	b.put(o)
	return o.Ref
}

// repacked returns an object with other lines, whose hash and digest fit them.
func repacked(o changeset.Changeset, all []changeset.Changeset) changeset.Changeset {
	var text []byte
	for _, c := range all {
		text = changeset.AppendLine(text, c)
	}
	p := changeset.NewPack(o.ID, o.AfterRevision, o.Pack.Index, o.ParentOf(), all[len(all)-1].Header, text)
	return p
}

// TestForgedPacksAreNamed holds packs against what their metadata says, with hashes
// and digests that fit.
func TestForgedPacksAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		change func(*changeset.Changeset)
	}{
		"its after-revision is later":    {"do not agree with its ID", func(o *changeset.Changeset) { o.AfterRevision++ }},
		"its after-revision is earlier":  {"was built on revision", func(o *changeset.Changeset) { o.AfterRevision-- }},
		"its ID is another append's":     {"do not agree with its ID", func(o *changeset.Changeset) { o.ID = changeset.NewID() }},
		"its parent is another":          {"parent is", func(o *changeset.Changeset) { o.Parent = changeset.NewID() }},
		"its digest is another":          {"its lines do not lead to its digest", func(o *changeset.Changeset) { o.Digest[0] ^= 1 }},
		"its parent's digest is another": {"its lines do not lead to its digest", func(o *changeset.Changeset) { o.Pack.ParentDigest[0] ^= 1 }},
		"a line is missing": {"its last changeset is", func(o *changeset.Changeset) {
			all, err := changeset.Unpack(*o, o.Body)
			require.NoError(t, err)
			ref := o.Ref
			*o = repacked(*o, all[:len(all)-1])
			o.Ref = ref
		}},
		"a line is repeated": {"of version 3", func(o *changeset.Changeset) {
			all, err := changeset.Unpack(*o, o.Body)
			require.NoError(t, err)
			ref := o.Ref
			*o = repacked(*o, append(all[:1:1], all...))
			o.Ref = ref
		}},
		"its lines lead on from another digest": {"parent digest is not the digest of the object before", func(o *changeset.Changeset) {
			parent := o.ParentOf()
			parent.Digest[0] ^= 1
			all, err := changeset.DecodeLines(parent, o.Body)
			require.NoError(t, err)
			*o = changeset.NewPack(o.ID, o.AfterRevision, o.Pack.Index, parent, all[len(all)-1].Header, o.Body)
		}},
		"it is not of lines": {"line", func(o *changeset.Changeset) {
			p := changeset.NewPack(o.ID, o.AfterRevision, o.Pack.Index, o.ParentOf(), o.Header, []byte("no lines"))
			ref := o.Ref
			*o = p
			o.Ref = ref
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, order)
			b.append(draft("old"))
			b.spill(draft("0"))
			b.inline(draft("1"), draft("2"))
			o := b.orphanPack(draft("3"), draft("4")).Objects[0] // nothing else is hurt by it
			o.Encoding = ""
			ref := b.forge(o, c.change)
			p := onlyProblem(t, b.verify())
			require.Equal(t, ref, p.Ref)
			require.Contains(t, p.Reason, c.reason)
			require.NotEmpty(t, p.Object)
		})
	}
}

// TestOnlyTheAloneObjectIsNamedWhoseDigestIsHurt has objects before and after it.
func TestOnlyTheAloneObjectIsNamedWhoseDigestIsHurt(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	o := b.spill(large('x')).Objects[0]
	b.spill(draft("2"))
	ref := b.forge(o, func(o *changeset.Changeset) { o.Digest[0] ^= 1 })
	require.Equal(t, ref, onlyProblem(t, b.verify()).Ref)
}

// TestAnAfterRevisionThatTheNextChangesetDeniesIsNamed raises the after-revision of a
// flush: the changesets after it were built on a lower revision.
func TestAnAfterRevisionThatTheNextChangesetDeniesIsNamed(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("0"))
	flushed := b.flush()
	b.inline(draft("1"))
	b.spill(draft("2"))
	ref := b.forge(flushed, func(o *changeset.Changeset) { o.AfterRevision = 2 })
	p := onlyProblem(t, b.verify())
	require.Equal(t, ref, p.Ref)
	require.Contains(t, p.Reason, "after-revision 2 is not below 2, on which the next changeset was built")
}

// TestHeadsOfPackedChainsAreHeldAgainstTheirObjects changes what a head says of its
// objects, with a tip that leads on from there.
func TestHeadsOfPackedChainsAreHeldAgainstTheirObjects(t *testing.T) {
	for reason, change := range map[string]func(h *head.Head, b *bench){
		"packed digest": func(h *head.Head, _ *bench) { h.PackedDigest[0] ^= 1 },
		"ends in":       func(h *head.Head, _ *bench) { h.PackedID = changeset.NewID() },
		"object index": func(h *head.Head, b *bench) {
			h.Index = changeset.ObjectIndexAt(1).Push(changeset.Ref{Version: 1, ID: changeset.NewID(), Count: 1}).Push(b.objects()[2].Ref)
		},
	} {
		b := newBench(t, order)
		b.append(draft("old"))
		b.spill(draft("1"))
		b.spill(draft("2"))
		h := b.head
		change(&h, b)
		// The lines of a tip after what the head says of its objects.
		parent := h.PackedHeader()
		c, err := changeset.Seal(changeset.Changeset{Header: changeset.Header{
			Ref:           changeset.Ref{AggregateID: b.id, Version: 3, ID: changeset.NewID()},
			AfterRevision: 3, RecordedAt: now, ContentType: "text/plain",
		}}, parent)
		require.NoError(t, err)
		h.Ref, h.Digest, h.UpdatedAt, h.Tip = c.Ref, c.Digest, now, string(changeset.AppendLine(nil, c))
		h.Revision++
		b.putBack(h)
		p := onlyProblem(t, b.verify())
		require.Zero(t, p.Ref.ID)
		require.Contains(t, p.Reason, reason)
		_, err = b.plan()
		require.ErrorContains(t, err, reason)
	}
}

// TestATipMustFollowItsObjects builds a tip whose first line does not follow, although
// its digest leads on.
func TestATipMustFollowItsObjects(t *testing.T) {
	for reason, change := range map[string]func(*changeset.Header){
		"":                    func(*changeset.Header) {},
		"do not follow":       func(h *changeset.Header) { h.AfterRevision = 0 },
		"before its parent":   func(h *changeset.Header) { h.RecordedAt = now.Add(-1) },
		"after-revision and ": func(h *changeset.Header) { h.Part = changeset.Part{Number: 2, Of: 2} },
	} {
		b := newBench(t, order)
		b.spill(draft("0"), draft("1"))
		header := changeset.Header{
			Ref:           changeset.Ref{AggregateID: b.id, Version: 2, ID: changeset.NewID()},
			AfterRevision: 1, RecordedAt: now, ContentType: "text/plain",
		}
		change(&header)
		c, err := changeset.Seal(changeset.Changeset{Header: header}, b.head.PackedHeader())
		require.NoError(t, err)
		h := b.head
		h.Ref, h.Digest, h.UpdatedAt, h.Revision = c.Ref, c.Digest, c.RecordedAt, 2
		h.Tip = string(changeset.AppendLine(nil, c))
		b.putBack(h)
		if r := b.verify(); reason == "" {
			require.Empty(t, r.Problems)
		} else {
			p := onlyProblem(t, r)
			require.Zero(t, p.Ref.ID)
			require.Contains(t, p.Reason, reason)
		}
	}
}

func TestKeptDigestsInPacksAndTips(t *testing.T) {
	b := mixed(t)
	lost := b.orphanPack(draft("lost")).Next
	for _, options := range []*inspect.Options{nil, {HeadersOnly: true}} {
		in := inspect.New(b, b, options)
		for version := range b.head.Len() {
			place, err := link.Locate(t.Context(), b, b.head, version)
			require.NoError(t, err)
			r, err := in.VerifyDigest(t.Context(), b.id, place.Header.Digest)
			require.NoError(t, err)
			require.Empty(t, r.Problems)
			require.Equal(t, place.Header.Ref, r.Kept)
		}
		r, err := in.VerifyDigest(t.Context(), b.id, lost.Digest)
		require.NoError(t, err)
		require.Contains(t, onlyProblem(t, r).Reason, lost.Digest.String())
	}
}

// TestOrphanPacksCountWhatIsNotInTheChain has copies of tips in lost, pending and
// other packs.
func TestOrphanPacksCountWhatIsNotInTheChain(t *testing.T) {
	b := mixed(t)
	require.Equal(t, 4, b.verify().Lost)
	a := b.orphanPack(half('x'), half('y'), draft("z"))
	require.Len(t, a.Objects, 2)
	ahead, err := link.Build(a.Next, b.id, bodies(draft("ahead"), draft("again")), now, link.Layout{Packed: true})
	require.NoError(t, err)
	b.put(ahead.Objects...)
	r := b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, []int{4, 3, 2, 0}, []int{r.Lost, r.Pending, r.Ahead, r.Unknown})
	headers, err := inspect.New(b, b, &inspect.Options{HeadersOnly: true}).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, r.Pending+1, headers.Pending, "unread packs count as they are, with the tip's copy")

	part := b.clone(t)
	part.Tamper(remove(a.Objects[0].Ref))
	r = part.verify()
	require.Equal(t, 2, r.Pending, "the other pack may still come")

	b.fence()
	r = b.verify()
	require.Equal(t, []int{9, 0, 0}, []int{r.Lost, r.Pending, r.Ahead}, "what was built ahead continues what is lost")
}

// TestWhatWasBuiltAheadOfALostPackIsLost has a pack that was put for the head's
// revision, after a pack that a fence has refused.
func TestWhatWasBuiltAheadOfALostPackIsLost(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	refused := b.orphanPack(draft("1"))
	ahead, err := link.Build(refused.Next, b.id, bodies(draft("2")), now, link.Layout{})
	require.NoError(t, err)
	b.put(ahead.Objects...)
	b.fence()
	r := b.verify()
	require.Equal(t, []int{2, 0, 0}, []int{r.Lost, r.Pending, r.Ahead})
}

// TestAPackOfAnotherTipIsNotPending has a pack that was put for a head of the same
// revision, whose tip was another one: the heads were restored in between.
func TestAPackOfAnotherTipIsNotPending(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	before := b.head
	b.inline(draft("1"))
	b.orphanPack(draft("2"))
	require.Equal(t, 1, b.verify().Pending)
	b.putBack(before)
	b.head = before
	b.inline(draft("another 1"))
	r := b.verify()
	require.Equal(t, 2, r.Lost)
	require.Zero(t, r.Pending)
}

func TestErasedPackedChains(t *testing.T) {
	b := mixed(t)
	stored := 0
	for _, o := range b.objects() {
		stored += max(1, int(o.Count))
	}
	b.swap(link.Tombstone(b.head))
	r := b.verify()
	require.Equal(t, inspect.Report{AggregateID: b.id, Head: b.head, Lost: stored}, r)
	require.Empty(t, b.graph(0).Nodes)
}

// TestAHeadBelowItsNewestObjectIsNamed has a flush in the newest object, which is known
// to have been put for the head before.
func TestAHeadBelowItsNewestObjectIsNamed(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("0"))
	b.fence()
	b.flush()
	h := b.head
	h.Revision = 2
	b.putBack(h)
	p := onlyProblem(t, b.verify())
	require.Zero(t, p.Ref.ID)
	require.Contains(t, p.Reason, "its revision 2 is not above 2, for which its newest object was put")
}
