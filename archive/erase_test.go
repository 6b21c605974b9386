package archive

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/feed"
)

func erase(t testing.TB, d Destination) EraseReport {
	t.Helper()
	report, err := Open(d, nil).Erase(t.Context())
	require.NoError(t, err)
	return report
}

// aggregatesIn returns the aggregates that have rows in any file of a destination,
// whether the archive has the file or not.
func aggregatesIn(t testing.TB, d *memory) (all []string) {
	t.Helper()
	for _, name := range d.names("day=") {
		for _, row := range rowsIn(t, d.files[name]) {
			all = append(all, row.Aggregate)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestErase(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	w.write("zebra", "created") // which few files can have
	run(t, w, d, small)
	require.Zero(t, erase(t, d), "nothing is erased")
	w.erase("order-2")
	w.erase("zebra")
	w.write("order-1", "changed")
	report := run(t, w, d, small)
	require.EqualValues(t, 2, report.Erased)
	require.EqualValues(t, 2, report.Pending)
	require.Contains(t, aggregatesIn(t, d), "order-2")

	erased := erase(t, d)
	require.EqualValues(t, 2, erased.Aggregates)
	require.NotZero(t, erased.Rows)
	require.NotZero(t, erased.Files)
	require.Equal(t, erased.Files, erased.Deleted)
	require.Equal(t, w.rows(), archived(t, d))
	require.Equal(t, []string{"order-0", "order-1", "order-3", "order-4"}, aggregatesIn(t, d))
	requireNoOrphans(t, d)
	require.Zero(t, erase(t, d), "it is done")
	require.Zero(t, run(t, w, d, small).Pending)
}

// An archive never gets rows of an aggregate that it knows to be erased, whether the
// erasure comes in the same batch as the rows, or in place of them.
func TestRunAfterErasure(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(10)
	w.erase("order-2")
	report := run(t, w, d, nil)
	require.EqualValues(t, 1, report.Erased)
	require.Zero(t, report.Pending, "nothing of it was archived before")
	require.Equal(t, w.rows(), archived(t, d))
}

// Rows that were read before the erasure are left out of a batch that has it.
func TestErasureWithinABatch(t *testing.T) {
	w, b, s := newWorld(t), newBatch(), newState()
	w.fill(200)
	for change, err := range feed.Open(w.store, &feed.Options{ReadAhead: 1}).After(t.Context(), s.position) {
		require.NoError(t, err)
		if b.changesets == 10 {
			w.erase("order-2")
		}
		b.add(change, s)
	}
	require.Equal(t, map[string]bool{"order-2": true}, b.erased)
	known := newBatch()
	s.erased["order-2"] = true
	known.add(feed.Change{Changeset: changesetOf("order-2", 0, contentType, "{}")}, s)
	require.Zero(t, known.rows)
	folders := b.sorted()
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		for _, row := range b.folders[folder] {
			require.NotEqual(t, "order-2", row.Aggregate)
		}
	}
}

// Any request can fail, and the process can end there: readers see the
// rows of the others once, and after the next erasure nothing is left of the erased
// aggregates, in any file.
func TestFaultsOfErase(t *testing.T) {
	w, old := newWorld(t), newMemory()
	w.fill(9)
	run(t, w, old, &Options{BatchRows: 10})
	w.erase("order-2")
	run(t, w, old, small)
	everyFault(t, func(t *testing.T, fault func(Destination) *faulty) {
		w := *w
		w.t = t
		d := &memory{files: maps.Clone(old.files)}
		f := fault(d)
		_, err := Open(f, nil).Erase(t.Context())
		if f.kills && f.called >= f.n {
			require.ErrorIs(t, err, errFault)
		}
		others := slices.DeleteFunc(archived(t, d), func(row string) bool { return strings.HasPrefix(row, "order-2@") })
		require.Equal(t, w.rows(), others)
		if err == nil {
			require.NotContains(t, aggregatesIn(t, d), "order-2")
		}
		report := run(t, &w, d, nil) // deletes what a manifest has removed
		if report.Pending == 0 {
			require.NotContains(t, aggregatesIn(t, d), "order-2")
		}
		erase(t, d)
		require.NotContains(t, aggregatesIn(t, d), "order-2")
		require.Equal(t, w.rows(), archived(t, d))
		requireNoOrphans(t, d)
	})
}

// Many files take several manifests, each of which is whole.
func TestEraseManyFiles(t *testing.T) {
	w, d := newWorld(t), newMemory()
	for range eraseFiles + 10 {
		w.write("order-1", "created")
		w.write("order-2", "created")
	}
	run(t, w, d, &Options{BatchRows: 2})
	w.erase("order-2")
	run(t, w, d, nil)
	before := len(d.names(manifests))
	report := erase(t, d)
	require.EqualValues(t, eraseFiles+10, report.Files)
	require.EqualValues(t, eraseFiles+10, report.Rows)
	require.Len(t, d.names(manifests), before+2)
	for i, purged := range [][]string{nil, {"order-2"}} {
		m, err := decodeManifest(d.files[manifestName(uint64(before+i+1))])
		require.NoError(t, err)
		require.Equal(t, purged, m.purged, "only the last manifest can say so")
	}
	require.Equal(t, w.rows(), archived(t, d))
}

// An erasure that finds another at work, or a run, begins again.
func TestErasureComesSecond(t *testing.T) {
	for name, other := range map[string]func(w *world, d *memory){
		"run":   func(w *world, d *memory) { w.write("order-1", "changed"); run(w.t, w, d, nil) },
		"erase": func(w *world, d *memory) { erase(w.t, d) },
	} {
		for _, at := range []string{"manifest", "file"} {
			t.Run(name+" before a "+at, func(t *testing.T) {
				w, d := newWorld(t), newMemory()
				w.fill(20)
				run(t, w, d, small)
				w.erase("order-2")
				run(t, w, d, small)
				var second Destination = &racing{memory: d, before: func() { other(w, d) }}
				if at == "file" {
					second = &readingLate{memory: d, before: func() { other(w, d) }}
				}
				_, err := Open(second, nil).Erase(t.Context())
				require.NoError(t, err)
				require.NotContains(t, aggregatesIn(t, d), "order-2")
				require.Equal(t, w.rows(), archived(t, d))
				requireNoOrphans(t, d)
			})
		}
	}
}

// readingLate is a destination in which another archiver is at work before the first
// file is read.
type readingLate struct {
	*memory
	before func()
}

func (r *readingLate) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if _, ok := manifestNumber(name); !ok && r.before != nil {
		before := r.before
		r.before = nil
		before()
	}
	return r.memory.Read(ctx, name, limit)
}

// A damaged file is not rewritten.
func TestEraseDamagedFile(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(10)
	run(t, w, d, nil)
	w.erase("order-2")
	run(t, w, d, nil)
	name := d.names("day=")[0]
	d.files[name] = bytes.Replace(d.files[name], []byte("PAR1"), []byte("PAR2"), 1)
	_, err := Open(d, nil).Erase(t.Context())
	requireCorrupt(t, err, name)
}
