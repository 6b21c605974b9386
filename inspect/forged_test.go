package inspect_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// forge stores a chain of three whose last changeset is not what any writer
// makes, with a digest that fits all the same, and a head that fits it.
func forge(t *testing.T, change func(h *changeset.Header, s *bench)) *bench {
	b := newBench(t, order)
	b.append(draft("0"))
	parent := b.append(draft("1"))[0]
	built, _ := b.build(b.head, draft("2"))
	c := built[0]
	change(&c.Header, b)
	c.Digest = c.ComputeDigest(parent.Digest)
	b.put(c)
	next := link.Next(b.head, c.Header)
	next.Revision = b.head.Revision + 1
	record, err := head.EncodeJSON(next)
	require.NoError(t, err)
	b.Tamper(func(m *memstore.Contents) { m.Heads[head.ObjectName(b.id)] = record })
	return b
}

func TestLinksAreProvedBeyondTheirDigests(t *testing.T) {
	require.Empty(t, forge(t, func(*changeset.Header, *bench) {}).verify().Problems)
	for reason, change := range map[string]func(h *changeset.Header, b *bench){
		"after-revision and append do not follow from the parent's": func(h *changeset.Header, _ *bench) { h.AfterRevision = 1 },
		"recorded before its parent":                                func(h *changeset.Header, _ *bench) { h.RecordedAt = h.RecordedAt.Add(-time.Nanosecond) },
		"ancestor index does not follow from the parent's": func(h *changeset.Header, _ *bench) {
			h.Ancestors = changeset.Index{}.Push(changeset.NewID()).Push(h.Parent)
		},
		"it names a changeset in the middle of an append, 1/2": func(h *changeset.Header, _ *bench) { h.Part = changeset.Part{Number: 1, Of: 2} },
	} {
		t.Run(reason, func(t *testing.T) { require.Contains(t, onlyProblem(t, forge(t, change).verify()).Reason, reason) })
	}
}

// A parent that is not what it was proves nothing of its child; both are
// named where both are hurt.
func TestNeighboursThatAreHurtAreBothNamed(t *testing.T) {
	s := newSample(t)
	for i := range s.chain[:5] {
		hurt := *s.bench
		hurt.Store = s.Clone()
		hurt.Tamper(func(m *memstore.Contents) {
			for _, c := range s.chain[i : i+2] {
				m.Objects[c.ObjectName()].Metadata["user"] = "forged=1"
			}
		})
		named := map[changeset.Ref]bool{}
		for _, p := range hurt.verify().Problems {
			named[p.Ref] = true
		}
		require.Equal(t, map[changeset.Ref]bool{s.chain[i].Ref: true, s.chain[i+1].Ref: true}, named)
	}
}

func TestAHeadIsNamedBesideItsHurtChangeset(t *testing.T) {
	s := newSample(t)
	h := s.head
	h.Digest[0] ^= 1
	record, err := head.EncodeJSON(h)
	require.NoError(t, err)
	s.Tamper(func(m *memstore.Contents) {
		m.Heads[head.ObjectName(s.id)] = record
		m.Objects[s.chain[5].ObjectName()].Metadata["user"] = "forged=1"
	})
	problems := s.verify().Problems
	require.Len(t, problems, 2)
	require.ElementsMatch(t, []changeset.Ref{{AggregateID: s.id}, s.chain[5].Ref}, []changeset.Ref{problems[0].Ref, problems[1].Ref})
}
