package inspect_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// huge returns a changeset far up, with an index of the right shape that leads nowhere.
func huge(t *testing.T, version uint64) changeset.Changeset {
	built, _, err := link.Extend(head.Head{}, order, []changeset.Draft{draft("x")}, now)
	require.NoError(t, err)
	c := built[0]
	var packed []byte
	for wheel := range 4 {
		q := version >> (4 * wheel)
		n := q % 16
		if wheel == 3 {
			n = min(6, q)
		}
		packed = append(packed, byte(n))
		for range n {
			c.Parent = changeset.NewID()
			packed = append(packed, c.Parent[:]...)
		}
	}
	c.Version, c.AfterRevision = version, 7
	c.Ancestors, err = changeset.ParseIndex(version, packed)
	require.NoError(t, err)
	c.Parent = c.Ancestors.Parent()
	c.Digest = c.ComputeDigest(changeset.Digest{})
	return c
}

func TestHugeVersionsAreInspectedInBounds(t *testing.T) {
	for _, version := range []uint64{5000, 1 << 40, 1 << 63, math.MaxUint64 - 1} {
		b := newBench(t, order)
		b.append(draft("0"))
		orphan := huge(t, version)
		b.put(orphan)
		r := b.verify()
		require.Equal(t, 1, r.Committed)
		require.NotEmpty(t, b.graph(3).Nodes)
		plan, err := b.plan()
		require.NoError(t, err)
		require.Empty(t, plan.Tips, "it does not descend from the head")

		h := head.At(orphan.Header) // and as the head's own
		b.putBack(h)
		r = b.verify()
		require.NotEmpty(t, r.Problems)
		require.Less(t, len(r.Problems), 200)
		require.NotEmpty(t, b.graph(0).Nodes)
		_, err = b.plan()
		require.Error(t, err)

		b.Tamper(remove(orphan.Ref))
		r = b.verify()
		require.NotEmpty(t, r.Problems)
		require.Less(t, len(r.Problems), 200)
	}
}

// liar announces content that it does not have, and would never finish sending.
type liar struct {
	inspect.Changesets
	size int64
}

func (l liar) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := l.Changesets.Get(ctx, ref, nil)
	if err != nil {
		return c, err
	}
	c.BodySize = l.size
	if err := admission.Admit(c.Header); err != nil {
		return changeset.Changeset{}, err
	}
	return c, nil
}

func TestContentsThatAreAnnouncedTooLargeAreFaults(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	for _, size := range []int64{64<<20 + 1, 1 << 40, math.MaxInt64} {
		r, err := inspect.New(liar{b, size}, b, nil).Verify(t.Context(), b.id)
		require.NoError(t, err)
		require.Contains(t, onlyProblem(t, r).Reason, "is not proved: larger than")
	}
	r, err := inspect.New(liar{b, 100}, b, &inspect.Options{MaxContentSize: 99}).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Contains(t, onlyProblem(t, r).Reason, "its content of 100 bytes is not proved: larger than 99")
}

// Objects that are not changesets, or lie under another's name, are never
// taken for one.
func TestForeignObjectsAreNotTakenForChangesets(t *testing.T) {
	s := newSample(t)
	s.Tamper(func(m *memstore.Contents) {
		for _, name := range []string{"x", "changesets/", "changesets/a", "changesets/%2e/00000000000000000000-x", "changesets/a/b/c", "heads/", "heads/%zz"} {
			m.Objects[name] = &memstore.Object{Body: []byte("x"), LastModified: time.Now()}
			m.Heads[name] = []byte("x")
		}
	})
	require.Empty(t, s.verify().Problems)
	n := 0
	for r, err := range inspect.New(s, s, nil).VerifyAll(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, s.id, r.AggregateID)
		n++
	}
	require.Equal(t, 1, n)
}
