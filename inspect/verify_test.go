package inspect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

func TestVerifyOfNothing(t *testing.T) {
	m := memstore.New()
	in := inspect.New(m, m, nil)
	_, err := in.Verify(t.Context(), "nobody")
	require.ErrorIs(t, err, changeset.ErrNotFound)
	_, err = in.Verify(t.Context(), "a\x00b")
	require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
	_, err = in.Graph(t.Context(), "nobody", 0)
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

func TestVerifyMakesOneRequestForEachObject(t *testing.T) {
	s := newSample(t)
	m := meter.New(0)
	lister := m.Changesets(s).(inspect.Changesets)
	_, err := inspect.New(lister, m.Heads(s), nil).Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, meter.Counts{Get: 7, Load: 1, List: 1}, m.Count())

	m.Reset()
	_, err = inspect.New(lister, m.Heads(s), &inspect.Options{HeadersOnly: true}).Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, meter.Counts{Stat: 7, Load: 1, List: 1}, m.Count())
}

func TestHeadersOnlyLeavesContentsUnproved(t *testing.T) {
	s := newSample(t)
	s.Tamper(func(m *memstore.Contents) { m.Objects[s.chain[2].ObjectName()].Body[0] ^= 1 })
	require.Equal(t, s.chain[2].Ref, onlyProblem(t, s.verify()).Ref)
	r, err := inspect.New(s, s, &inspect.Options{HeadersOnly: true}).Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
}

func TestVerifyDigest(t *testing.T) {
	s := newSample(t)
	in := inspect.New(s, s, nil)
	for _, c := range s.chain {
		r, err := in.VerifyDigest(t.Context(), s.id, c.Digest)
		require.NoError(t, err)
		require.Empty(t, r.Problems)
		require.Equal(t, c.Ref, r.Kept)
	}
	for _, foreign := range []changeset.Digest{{1}, s.lost.Digest} {
		r, err := in.VerifyDigest(t.Context(), s.id, foreign)
		require.NoError(t, err)
		require.Zero(t, r.Kept)
		p := onlyProblem(t, r)
		require.Equal(t, changeset.Ref{AggregateID: s.id}, p.Ref)
		require.Contains(t, p.Reason, foreign.String())
	}
}

// A forged history is sound in itself. Only a digest that was kept shows the
// difference.
func TestAKeptDigestFindsWhatNothingElseFinds(t *testing.T) {
	s := newSample(t)
	forged := newBench(t, s.id)
	forged.append(draft("zero, or so"))
	require.Empty(t, forged.verify().Problems)
	r, err := inspect.New(forged, forged, nil).VerifyDigest(t.Context(), s.id, s.chain[0].Digest)
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
}

func TestErasedChains(t *testing.T) {
	s := newSample(t)
	erased := link.Fence(s.head)
	erased.State = head.Erased
	s.swap(erased)
	s.Tamper(remove(s.chain[3].Ref)) // it has begun
	s.Tamper(func(m *memstore.Contents) { m.Objects[s.chain[2].ObjectName()].Body[0] ^= 1 })

	r := s.verify()
	require.Equal(t, inspect.Report{AggregateID: s.id, Head: s.head, Lost: 6}, r)
	g, err := inspect.New(s, s, nil).Graph(t.Context(), s.id, 0)
	require.NoError(t, err)
	require.Empty(t, g.Nodes)

	r, err = inspect.New(s, s, nil).VerifyDigest(t.Context(), s.id, s.head.Digest)
	require.NoError(t, err)
	require.Equal(t, s.head.Ref, r.Kept)
	require.Empty(t, r.Problems)
	r, err = inspect.New(s, s, nil).VerifyDigest(t.Context(), s.id, s.chain[2].Digest)
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
}

func TestNewerFormatsAreNamed(t *testing.T) {
	rewrite := func(s sample, formats ...string) {
		s.Tamper(func(m *memstore.Contents) {
			record := string(m.Heads[head.ObjectName(s.id)])
			for _, name := range formats {
				record = strings.Replace(record, `"`+name+`":1`, `"`+name+`":3`, 1)
			}
			m.Heads[head.ObjectName(s.id)] = []byte(record)
		})
	}
	s := newSample(t)
	rewrite(s, "format", "min-writer")
	r := s.verify()
	require.Contains(t, onlyProblem(t, r).String(), "head of order 1: format 3: written by a newer version")
	require.Equal(t, 6, r.Committed, "it can still be read")

	s = newSample(t)
	rewrite(s, "format", "min-writer", "min-reader")
	r = s.verify()
	require.Contains(t, onlyProblem(t, r).String(), "head of order 1: unsupported format: ")
	require.Equal(t, 7, r.Unknown)

	s = newSample(t)
	s.Tamper(func(m *memstore.Contents) { m.Objects[s.chain[2].ObjectName()].Metadata["format"] = "3" })
	p := onlyProblem(t, s.verify())
	require.Equal(t, s.chain[2].Ref, p.Ref)
	require.Contains(t, p.Reason, "unsupported format: 3")
}

func TestTimesAndRevisionsOfHeads(t *testing.T) {
	for name, change := range map[string]func(*head.Head){
		"updated-at": func(h *head.Head) { h.UpdatedAt = h.UpdatedAt.Add(1) },
		"revision":   func(h *head.Head) { h.Revision = 3 },
	} {
		s := newSample(t)
		h := s.head
		change(&h)
		record, err := head.EncodeJSON(h)
		require.NoError(t, err)
		s.Tamper(func(m *memstore.Contents) { m.Heads[head.ObjectName(s.id)] = record })
		r := s.verify()
		require.NotEmpty(t, r.Problems, name)
		require.Contains(t, r.Problems[0].String(), name)
		require.Zero(t, r.Problems[0].Ref.ID)
	}
}

// A break in a long chain: what lies below is found through the ancestor
// index of what lies above. At the turn of a wheel that does not know the next
// fifteen.
func TestBrokenChainsAreFollowedFurther(t *testing.T) {
	b := newBench(t, order)
	var chain []changeset.Changeset
	for i := range 40 {
		chain = append(chain, b.append(draft(fmt.Sprint(i)))...)
	}
	for version, unknown := range map[int]int{39: 0, 38: 0, 32: 0, 31: 15, 20: 0, 16: 0, 15: 15, 3: 0, 0: 0} {
		for _, gone := range []bool{true, false} {
			hurt := *b
			hurt.Store = b.Clone()
			want := []string{"head of order 1", "its changeset is missing: " + chain[39].Ref.String()}
			if version < 39 {
				want = []string{chain[version+1].Ref.String(), "parent is missing: " + chain[version].Ref.String()}
			}
			committed := 39 - unknown
			if gone {
				hurt.Tamper(remove(chain[version].Ref))
			} else {
				hurt.Tamper(func(m *memstore.Contents) { delete(m.Objects[chain[version].ObjectName()].Metadata, "digest") })
				want = []string{chain[version].Ref.String(), "metadata digest"}
				committed++
			}
			r := hurt.verify()
			for _, text := range want {
				require.Contains(t, onlyProblem(t, r).String(), text)
			}
			require.Equal(t, committed, r.Committed, "without version %d", version)
			require.Equal(t, unknown, r.Unknown)
			require.Zero(t, r.Lost)
		}
	}
}

func TestEveryGapIsReported(t *testing.T) {
	b := newBench(t, order)
	var chain []changeset.Changeset
	for i := range 40 {
		chain = append(chain, b.append(draft(fmt.Sprint(i)))...)
	}
	for _, version := range []int{36, 35, 31, 30, 29, 20, 16} {
		b.Tamper(remove(chain[version].Ref))
	}
	var all []string
	for _, p := range b.verify().Problems {
		all = append(all, p.String())
	}
	require.Len(t, all, 6, strings.Join(all, "\n"))
	report := strings.Join(all, "\n")
	for version, text := range map[int]string{
		37: "parent is missing: " + chain[36].Ref.String(),
		32: "parent is missing: " + chain[31].Ref.String(),
	} {
		require.Contains(t, report, chain[version].Ref.String()+": "+text)
	}
	require.Contains(t, report, chain[37].Ref.String()+": ancestor is missing: "+chain[35].Ref.String())
	for _, gap := range []string{"version 16", "version 20", "versions 29 to 30"} {
		require.Contains(t, report, "stored at "+gap+" below it")
	}
}

func onlyProblem(t *testing.T, r inspect.Report) inspect.Problem {
	require.Len(t, r.Problems, 1, "%v", r.Problems)
	return r.Problems[0]
}
