package ropewalk_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// most is how many requests reading a forged chain may cost: a few windows, how
// many depends on how many replies arrive before the reader notices.
const most = 400

// madeUp is the ID that forged indexes name at a version.
func madeUp(version uint64) (id changeset.ID) {
	for i := range 8 {
		id[i] = byte(version >> (8 * i))
	}
	id[6], id[8], id[15] = 0x70, 0x80, 1
	return id
}

// forgedIndex is an index of the right shape for any version, without the
// history that it takes to build one.
func forgedIndex(t *testing.T, version uint64) changeset.Index {
	var packed []byte
	for wheel := range 4 {
		q := version >> (4 * wheel)
		n := q % 16
		if wheel == 3 {
			n = min(6, q)
		}
		packed = append(packed, byte(n))
		for j := range n {
			id := madeUp((q-n+j+1)<<(4*wheel) - 1)
			packed = append(packed, id[:]...)
		}
	}
	ix, err := changeset.ParseIndex(version, packed)
	require.NoError(t, err)
	return ix
}

// forged is a changeset at any version, sound in itself: its digest is its own.
func forged(t *testing.T, id string, version uint64, change func(*changeset.Header)) changeset.Changeset {
	built, _, err := link.Extend(head.Head{}, id, []changeset.Draft{{Content: []byte("x")}}, time.Now())
	require.NoError(t, err)
	c := built[0]
	c.Version, c.ID, c.AfterRevision = version, madeUp(version), version
	if version > 0 {
		c.Parent, c.Ancestors = madeUp(version-1), forgedIndex(t, version)
	}
	if change != nil {
		change(&c.Header)
	}
	c.Digest = c.ComputeDigest(changeset.Digest{})
	return c
}

// plant stores forged changesets and a head that names the last of them.
func plant(t *testing.T, all ...changeset.Changeset) *memstore.Store {
	db := memstore.New()
	for _, c := range all {
		require.NoError(t, db.Put(t.Context(), c))
	}
	h := head.At(all[len(all)-1].Header)
	h.Revision = max(h.Revision, 1)
	record, err := head.EncodeJSON(h)
	require.NoError(t, err)
	db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(h.AggregateID)] = record })
	return db
}

// withstandReading reads a chain in every way there is: every one must end, with an
// error, after a bounded number of requests.
func withstandReading(t *testing.T, db *memstore.Store, id string) {
	ctx, cancel := contextFor(t)
	defer cancel()
	counts := meter.New(0)
	chain := ropewalk.New(counts.Changesets(db), counts.Heads(db), nil).Chain(id)
	r, err := chain.Reader(ctx)
	require.NoError(t, err)
	last := r.Head().Version
	ends := func(name string) {
		require.NoError(t, ctx.Err(), "%s: it does not end", name)
		require.LessOrEqual(t, counts.Requests(), most, name)
		counts.Reset()
	}
	each := func(name string, err error) {
		require.Error(t, err, name)
		ends(name)
	}
	drain := func(name string, seq func(func(changeset.Changeset, error) bool)) {
		var failure error
		for _, err := range seq {
			failure = err
		}
		each(name, failure)
	}
	drain("all", r.All(ctx))
	drain("backward", r.Backward(ctx))
	drain("the newest", r.Changesets(ctx, ropewalk.Range{First: last - min(last, 10), Last: last}))
	drain("the oldest", r.Changesets(ctx, ropewalk.Range{Last: min(last, 10)}))
	drain("the middle", r.Changesets(ctx, ropewalk.Range{First: last / 2, Last: min(last, last/2+10)}))
	for _, err = range r.Headers(ctx, ropewalk.Range{Last: last, Backward: true}) {
		if err != nil {
			break
		}
	}
	each("headers", err)
	_, _ = r.At(ctx, last/3) // it may be there, and sound
	ends("at")
	_, _ = chain.HeadAt(ctx, last/3)
	ends("head at")
	_, err = chain.HeadOf(ctx, changeset.Ref{AggregateID: id, Version: last / 3, ID: changeset.NewID()})
	each("head of", err)
	_, err = chain.Settle(ctx, changeset.Ref{AggregateID: id, Version: last / 3, ID: changeset.NewID()}, 1)
	each("settle", err)
}

func TestHugeVersionsWithNothingBelow(t *testing.T) {
	for _, version := range []uint64{300, 70_000, 1 << 32, 1 << 63, math.MaxUint64 - 1} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			after := func(h *changeset.Header) { h.AfterRevision = min(version, math.MaxUint64-2) }
			withstandReading(t, plant(t, forged(t, "a", version, after)), "a")
			var some []changeset.Changeset // a way that leads down, and ends
			for v := range forgedIndex(t, version).All() {
				some = append(some, forged(t, "a", v, func(h *changeset.Header) { h.AfterRevision = min(v, math.MaxUint64-2) }))
			}
			withstandReading(t, plant(t, append(some, forged(t, "a", version, after))...), "a")
		})
	}
}

func TestForgedLinks(t *testing.T) {
	for name, db := range map[string]*memstore.Store{
		"a parent under its child's ID": plant(t,
			forged(t, "a", 0, nil),
			forged(t, "a", 1, func(h *changeset.Header) { h.Parent = madeUp(0) }),
			forged(t, "a", 2, func(h *changeset.Header) {
				h.ID = madeUp(1)
				h.Ancestors = changeset.Index{}.Push(madeUp(0)).Push(madeUp(1))
			})),
		"a parent in another aggregate": plant(t,
			forged(t, "b", 0, nil),
			forged(t, "a", 1, nil)),
		"an index that disagrees with another": plant(t,
			forged(t, "a", 0, nil), forged(t, "a", 1, nil),
			forged(t, "a", 2, func(h *changeset.Header) {
				h.Ancestors = changeset.Index{}.Push(changeset.NewID()).Push(madeUp(1))
			})),
		"an after-revision from the future": plant(t,
			forged(t, "a", 0, func(h *changeset.Header) { h.AfterRevision = math.MaxUint64 - 5 }),
			forged(t, "a", 1, nil)),
	} {
		t.Run(name, func(t *testing.T) { withstandReading(t, db, "a") })
	}
}

// Nothing can be built on what leaves no room for it: the error says so, and
// nothing is stored.
func TestNoAppendBehindTheLastVersionOrRevision(t *testing.T) {
	for name, change := range map[string]func(*changeset.Header){
		"version":  func(h *changeset.Header) { h.AfterRevision = 1 },
		"revision": func(h *changeset.Header) { h.AfterRevision = math.MaxUint64 - 1 },
	} {
		version := uint64(math.MaxUint64 - 1)
		if name == "revision" {
			version = 0
		}
		db := plant(t, forged(t, "a", version, change))
		chain := ropewalk.New(db, db, nil).Chain("a")
		h, err := chain.Head(t.Context())
		require.NoError(t, err)
		_, err = chain.Append(t.Context(), h, changeset.Draft{})
		require.Error(t, err, name)
		again, err := chain.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, h, again)
	}
}

// liar announces contents that it does not have.
type liar struct {
	*memstore.Store
	size int64
}

func (l liar) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := l.Store.Get(ctx, ref, nil)
	if err != nil {
		return c, err
	}
	if c.BodySize = l.size; ref.Version == 3 {
		err = admission.Admit(c.Header)
	}
	return c, err
}

func TestContentsThatAreAnnouncedTooLargeAreNotRead(t *testing.T) {
	for _, size := range []int64{64<<20 + 1, 1 << 40, math.MaxInt64, -1} {
		db := memstore.New()
		h := chainOf(t, db, "a", 6)
		reader := ropewalk.New(liar{db, size}, db, nil).Chain("a").ReaderAt(h)
		_, err := ropewalk.Collect(reader.Changesets(t.Context(), ropewalk.Range{First: 3, Last: 5}))
		require.Error(t, err)
		_, err = reader.At(t.Context(), 3)
		if size > 0 {
			require.ErrorIs(t, err, ropewalk.ErrStoredTooLarge)
			require.ErrorIs(t, err, ropewalk.ErrTooLarge)
			require.ErrorContains(t, err, "a@3.")
		}
		require.Error(t, err)
	}
}

func TestIDsThatLookLikeSomethingElseAreNoMoreThanNames(t *testing.T) {
	ids := []string{
		".", "..", "../..", "../../etc/passwd", "a", "a/", "a/b", "a/../a", "/", "//", "%2F", "a%2Fb", "%252F", "A", "a ", " a", "heads/a",
		"changesets/a", "a.json", "00000000000000000000-x", "a\u202eb", "a\u0301", "á", "'; DROP TABLE heads; --", "a?b=c#d", "a\\b", "~", "con", "a*", "é",
	}
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	for _, id := range ids {
		_, err := store.Chain(id).Create(t.Context(), changeset.Draft{Content: []byte(id)})
		require.NoError(t, err, id)
	}
	for _, id := range ids {
		var names []string
		for o, err := range db.Objects(t.Context(), id) {
			require.NoError(t, err)
			names = append(names, o.ObjectName())
		}
		require.Len(t, names, 1, id)
		require.Equal(t, 2, strings.Count(names[0], "/"), "one folder each: %s", names[0])
		require.NotContains(t, names[0], "..")
		r, err := store.Chain(id).Reader(t.Context())
		require.NoError(t, err)
		c, err := r.At(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, id, string(c.Content))
	}
	for _, id := range []string{"", "\x00", "a\nb", "a\x7f", "\u0085", "\xff", strings.Repeat("a", 129), strings.Repeat(".", 43)} {
		_, err := store.Chain(id).Create(t.Context(), changeset.Draft{})
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID, "%q", id)
	}
}

func TestMetadataCannotBreakOut(t *testing.T) {
	want := map[string]string{"a=b": "c&d", "&": "=", "%": "%26", "user": "x\r\nx-amz-meta-digest: y", "\x00": "\u2028", "ü": "+ ;"}
	db := memstore.New()
	chain := ropewalk.New(db, db, nil).Chain("a")
	h, err := chain.Create(t.Context(), changeset.Draft{Metadata: want, CommandID: "c&d=e\n%"})
	require.NoError(t, err)
	c, err := chain.ReaderAt(h).At(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, want, c.Metadata)
	require.Equal(t, "c&d=e\n%", c.CommandID)
	db.Tamper(func(m *memstore.Contents) {
		for _, o := range m.Objects {
			for key, value := range o.Metadata {
				require.False(t, strings.ContainsFunc(key+value, func(r rune) bool { return r < ' ' || r > '~' }), "%s: %s", key, value)
			}
		}
	})
}
