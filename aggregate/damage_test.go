package aggregate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
)

// damage is something wrong with the newest snapshot of an aggregate of 10
// changesets with snapshots at the versions 3 and 7.
type damage struct {
	do       func(*testing.T, *memstore.Store, changeset.Ref)
	rejected int
}

func damages() map[string]damage {
	rewrite := func(change func(map[string]any)) func(*testing.T, *memstore.Store, changeset.Ref) {
		return func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			c, err := db.Get(t.Context(), ref, nil)
			require.NoError(t, err)
			var content map[string]any
			d := json.NewDecoder(bytes.NewReader(c.Body))
			d.UseNumber()
			require.NoError(t, d.Decode(&content))
			change(content)
			c.Body, err = json.Marshal(content)
			require.NoError(t, err)
			replace(t, db, c)
		}
	}
	tamper := func(change func(*memstore.Object)) func(*testing.T, *memstore.Store, changeset.Ref) {
		return func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			db.Tamper(func(c *memstore.Contents) { change(c.Objects[ref.ObjectName()]) })
		}
	}
	return map[string]damage{
		"missing": {func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			require.NoError(t, db.Delete(t.Context(), ref))
		}, 0},
		"a flipped bit of the state": {tamper(func(o *memstore.Object) { o.Body[len(o.Body)-4] ^= 1 }), 1},
		"cut off":                    {tamper(func(o *memstore.Object) { o.Body = o.Body[:len(o.Body)/2] }), 1},
		"empty":                      {tamper(func(o *memstore.Object) { o.Body = nil }), 1},
		"foreign metadata":           {tamper(func(o *memstore.Object) { o.Metadata["aggregate-version"] = "7" }), 1},
		"another version's": {func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			db.Tamper(func(c *memstore.Contents) {
				c.Objects[ref.ObjectName()] = encodedAt11(t)
			})
		}, 1},
		"another version's content": {rewriteFrom, 1},
		"not JSON": {func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			c, err := db.Get(t.Context(), ref, nil)
			require.NoError(t, err)
			c.Body = []byte("snapshot")
			replace(t, db, c)
		}, 1},
		"another format":          {rewrite(func(c map[string]any) { c["format"] = 2 }), 1},
		"another schema":          {rewrite(func(c map[string]any) { c["schema"] = "2" }), 1},
		"a state of another type": {rewrite(func(c map[string]any) { c["state"] = "none" }), 1},
		"another aggregate's":     {rewrite(func(c map[string]any) { c["head"].(map[string]any)["aggregate-id"] = "log-2" }), 1},
		"an erased head":          {rewrite(func(c map[string]any) { c["head"].(map[string]any)["state"] = "erased" }), 1},
		"another history's changeset": {rewrite(func(c map[string]any) {
			c["head"].(map[string]any)["changeset-id"] = "01a1fbf0-010a-7048-aeec-beff8de7cfde"
		}), 1},
		"another history's digest": {rewrite(func(c map[string]any) {
			c["head"].(map[string]any)["digest"] = changeset.Digest{1}.String()
		}), 1},
		"another history's index": {rewrite(func(c map[string]any) {
			record := c["head"].(map[string]any)
			packed := must(base64.RawURLEncoding.DecodeString(record["ancestors"].(string)))
			packed[5] ^= 1 // of the first ID
			record["ancestors"] = base64.RawURLEncoding.EncodeToString(packed)
		}), 1},
		"too large": {func(t *testing.T, db *memstore.Store, ref changeset.Ref) {
			c, err := db.Get(t.Context(), ref, nil)
			require.NoError(t, err)
			c.Body = append(c.Body, bytes.Repeat([]byte(" "), 1<<20)...)
			replace(t, db, c)
		}, 1},
	}
}

// requireEarlierPassedOver requires that where the newest snapshot is missing,
// and the one before it damaged, the history is read.
func requireEarlierPassedOver(t *testing.T, n int, d damage) {
	db := memstore.New()
	grow(t, over(db, logs(4)), aggregate.Loaded[Log]{ID: "log-1"}, n)
	require.NoError(t, db.Delete(t.Context(), snapshotAt(t, 7)))
	d.do(t, db, snapshotAt(t, 3))
	repo := aggregate.New(ropewalk.New(db, db, nil), logs(4), &aggregate.Options{MaxSnapshotSize: 1 << 20})
	l, err := repo.Load(t.Context(), "log-1")
	requireLog(t, n, l, err)
	require.Equal(t, aggregate.Stats{Rejected: uint64(d.rejected), Missing: uint64(2 - d.rejected)}, repo.Stats())
}

// rewriteFrom gives a snapshot the content of that at version 11.
func rewriteFrom(t *testing.T, db *memstore.Store, ref changeset.Ref) {
	c, err := db.Get(t.Context(), ref, nil)
	require.NoError(t, err)
	c.Body = encodedAt11(t).Body
	replace(t, db, c)
}

// encodedAt11 returns the snapshot at version 11 as it is stored.
func encodedAt11(t *testing.T) (o *memstore.Object) {
	db := memstore.New()
	grow(t, over(db, logs(4)), aggregate.Loaded[Log]{ID: "log-1"}, 12)
	db.Tamper(func(c *memstore.Contents) { o = c.Objects[snapshotAt(t, 11).ObjectName()] })
	return o
}

// replace puts an object in another one's place, with hashes that fit.
func replace(t *testing.T, db *memstore.Store, c changeset.Changeset) {
	t.Helper()
	require.NoError(t, db.Delete(t.Context(), c.Ref))
	c.BodySize, c.BodySHA256 = int64(len(c.Body)), sum(c.Body)
	c.Digest = c.ComputeDigest(changeset.Digest{})
	require.NoError(t, db.Put(t.Context(), c))
}

// A snapshot with any damage is passed over and counted, and an earlier one is
// read; if all are damaged, the history is read.
func TestDamagedSnapshotsArePassedOver(t *testing.T) {
	for name, d := range damages() {
		for tail, n := range map[string]int{"": 8, " with a tail": 10} {
			t.Run(name+tail, func(t *testing.T) {
				db := memstore.New()
				grow(t, over(db, logs(4)), aggregate.Loaded[Log]{ID: "log-1"}, n)
				d.do(t, db, snapshotAt(t, 7))
				var logged bytes.Buffer
				repo := aggregate.New(ropewalk.New(db, db, nil), logs(4), &aggregate.Options{
					Logger: slog.New(slog.NewTextHandler(&logged, nil)), MaxSnapshotSize: 1 << 20,
				})
				l, err := repo.Load(t.Context(), "log-1")
				requireLog(t, n, l, err)
				require.Equal(t, aggregate.Stats{Used: 1, Rejected: uint64(d.rejected), Missing: uint64(1 - d.rejected)}, repo.Stats())
				require.Equal(t, d.rejected, strings.Count(logged.String(), "snapshot passed over"))
				again, err := repo.Save(t.Context(), l, []Entry{{n}}, aggregate.Once("command-1"))
				requireLog(t, n, again, err)
				require.True(t, again.Repeated, "the earlier snapshot has its command IDs")
				requireEarlierPassedOver(t, n, d)
				for _, ref := range snapshots(t, db, "log-1") {
					require.NoError(t, db.Delete(t.Context(), ref))
				}
				l, err = repo.Load(t.Context(), "log-1")
				requireLog(t, n, l, err)
				require.Equal(t, uint64(1), repo.Stats().Used)
			})
		}
	}
}
