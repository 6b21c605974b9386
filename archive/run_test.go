package archive

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/feed"
)

// small makes many batches of few rows.
var small = &Options{BatchRows: 10}

func run(t testing.TB, w *world, d Destination, options *Options) Report {
	t.Helper()
	report, err := Open(d, options).Run(t.Context(), w.feed())
	require.NoError(t, err)
	return report
}

func TestRun(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	report := run(t, w, d, small)
	require.Equal(t, w.rows(), archived(t, d))
	require.EqualValues(t, 40, report.Changesets)
	require.EqualValues(t, len(w.rows()), report.Rows)
	require.EqualValues(t, len(d.names("day=")), report.Files)
	end, err := w.feed().End(t.Context())
	require.NoError(t, err)
	require.Equal(t, end, report.Position)

	before := d.names("")
	require.Equal(t, Report{Position: end}, run(t, w, d, small), "nothing is new")
	require.Equal(t, before, d.names(""))
}

// A batch ends with the changeset that fills it, by rows or by bytes.
func TestBatchesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.fill(40) // with at most 3 rows each, of some 300 bytes
	for _, options := range []*Options{{BatchRows: 10}, {BatchBytes: 3000}} {
		d := newMemory()
		run(t, w, d, options)
		for _, name := range d.names(manifests) {
			m, err := decodeManifest(d.files[name])
			require.NoError(t, err)
			rows := int64(0)
			for _, f := range m.add {
				rows += f.Rows
			}
			require.LessOrEqual(t, rows, int64(12))
			require.NotZero(t, rows)
		}
	}
}

// Runs that end at any place give the rows of one run.
func TestResumedRuns(t *testing.T) {
	w, d := newWorld(t), newMemory()
	for i := range 12 {
		w.fill(i)
		run(t, w, d, small)
	}
	require.Equal(t, w.rows(), archived(t, d))
	whole := newMemory()
	run(t, w, whole, nil)
	require.Equal(t, archived(t, whole), archived(t, d))
}

// A repeated write makes the same files with the same bytes.
func TestSameFiles(t *testing.T) {
	w, one, other := newWorld(t), newMemory(), newMemory()
	w.fill(40)
	run(t, w, one, small)
	run(t, w, other, small)
	require.Equal(t, one.files, other.files)
}

// Any request can fail, before or after its effect, and the process can end there: a reader sees no row twice, the next run adds what is missing, and
// leaves no other files.
func TestFaultsOfRun(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	old := newMemory()
	run(t, w, old, small)
	w.fill(7) // two batches
	everyFault(t, func(t *testing.T, fault func(Destination) *faulty) {
		d := &memory{files: maps.Clone(old.files)}
		f := fault(d)
		report, err := Open(f, small).Run(t.Context(), w.feed())
		if f.kills && f.called >= f.n {
			require.ErrorIs(t, err, errFault)
		}
		seen := archived(t, d)
		require.Equal(t, slices.Compact(slices.Clone(seen)), seen)
		if err == nil {
			require.Equal(t, w.rows(), seen)
		}
		require.Subset(t, w.rows(), seen)
		require.LessOrEqual(t, report.Rows, int64(len(seen)))

		run(t, w, d, small)
		w := *w
		w.t = t
		require.Equal(t, w.rows(), archived(t, d))
		requireNoOrphans(t, d)
	})
}

func requireNoOrphans(t *testing.T, d *memory) {
	t.Helper()
	files, err := Open(d, nil).Files(t.Context())
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	require.Equal(t, names, d.names("day="))
}

// racing is a destination in which another archiver is at work before each manifest.
type racing struct {
	*memory
	before func()
}

func (r *racing) Create(ctx context.Context, name string, content []byte) error {
	if _, ok := manifestNumber(name); ok && r.before != nil {
		before := r.before
		r.before = nil
		before()
	}
	return r.memory.Create(ctx, name, content)
}

// An archiver that comes second goes on from what the first has written.
func TestSecondArchiver(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(15)
	second := &racing{memory: d, before: func() {
		w.fill(3) // so that the batches differ
		run(t, w, d, &Options{BatchRows: 7})
	}}
	report, err := Open(second, small).Run(t.Context(), w.feed())
	require.NoError(t, err)
	require.Zero(t, report.Rows, "the other has written all")
	require.Equal(t, w.rows(), archived(t, d))
	requireNoOrphans(t, d)
}

// hiding is a destination whose listing lacks the manifest that another archiver has
// stored.
type hiding struct{ *memory }

func (h hiding) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range h.memory.List(ctx, prefix) {
			if name != manifestName(1) && !yield(name, err) {
				return
			}
		}
	}
}

// A listing that lacks a manifest ends the run: it would go on for ever.
func TestListingWithoutAManifest(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(3)
	run(t, w, d, nil)
	w.fill(1)
	_, err := Open(hiding{d}, nil).Run(t.Context(), w.feed())
	requireCorrupt(t, err, "the listing does not have it")
}

func TestManyArchivers(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(30)
	var group sync.WaitGroup
	var mu sync.Mutex
	added := int64(0)
	for i := range 3 {
		group.Go(func() {
			report, err := Open(d, &Options{BatchRows: 15 + i}).Run(t.Context(), w.feed())
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			added += report.Rows
		})
	}
	group.Wait()
	require.Equal(t, w.rows(), archived(t, d))
	require.GreaterOrEqual(t, added, int64(len(w.rows())), "identical manifests count for both")
	requireNoOrphans(t, d)
}

// Files of a manifest that may still come are left alone, and so are files that no
// archiver has made.
func TestFilesThatStay(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(3)
	stay := []string{
		"day=2026-11-28/type=created/000000000002-00000000000000000000000000000000.parquet",
		"day=2026-11-28/type=created/notes.parquet", "README", "manifests/notes.txt",
	}
	for _, name := range stay {
		require.NoError(t, d.Create(t.Context(), name, nil))
	}
	orphan := "day=2026-11-28/type=created/000000000001-00000000000000000000000000000000.parquet"
	for _, name := range []string{orphan, orphan + ".1234.tmp", "manifests/000000000001.ndjson.77.tmp"} {
		require.NoError(t, d.Create(t.Context(), name, nil))
	}
	require.EqualValues(t, 3, run(t, w, d, nil).Orphans)
	require.Subset(t, d.names(""), stay)
	require.NotContains(t, d.names(""), orphan)
	w.fill(1)
	require.EqualValues(t, 1, run(t, w, d, nil).Orphans)
}

// A destination without an archive is not an archive in good order.
func TestNoArchive(t *testing.T) {
	w, d := newWorld(t), newMemory()
	require.Equal(t, Report{}, run(t, w, d, nil), "the store is empty")
	require.Empty(t, d.files)
	_, err := Open(d, nil).Files(t.Context())
	require.ErrorIs(t, err, ErrNoArchive)
	_, err = Open(d, nil).Erase(t.Context())
	require.ErrorIs(t, err, ErrNoArchive)
	_, err = ropewalk.Collect(Open(d, nil).Verify(t.Context(), w.store))
	require.ErrorIs(t, err, ErrNoArchive)
}

// A position that the feed does not have ends the run, and nothing is lost.
func TestOtherHistory(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(10)
	run(t, w, d, nil)
	before := maps.Clone(d.files)
	other := newWorld(t)
	other.fill(20)
	_, err := Open(d, nil).Run(t.Context(), other.feed())
	require.ErrorIs(t, err, feed.ErrOtherHistory)
	require.Equal(t, before, d.files)
	_, err = ropewalk.Collect(Open(d, nil).Verify(t.Context(), other.store))
	require.ErrorIs(t, err, feed.ErrOtherHistory)
}

func TestMissingManifest(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	run(t, w, d, small)
	for number := uint64(1); number <= 2; number++ {
		broken := &memory{files: maps.Clone(d.files)}
		delete(broken.files, manifestName(number))
		_, err := Open(broken, nil).Run(t.Context(), w.feed())
		requireCorrupt(t, err, "the newest manifest is")
	}
	for _, change := range []func(content []byte) []byte{
		func(c []byte) []byte { return c[:len(c)-1] },
		func(c []byte) []byte { return append(c, '\n') },
		func(c []byte) []byte { return slices.Concat(c[:1], []byte(" "), c[1:]) },
		func(c []byte) []byte { return d.files[manifestName(1)] },
	} {
		broken := &memory{files: maps.Clone(d.files)}
		broken.files[manifestName(2)] = change(slices.Clone(broken.files[manifestName(2)]))
		_, err := Open(broken, nil).Run(t.Context(), w.feed())
		requireCorrupt(t, err, manifestName(2))
	}
	lost := &memory{files: maps.Clone(d.files)}
	changed := slices.Clone(lost.files[manifestName(1)])
	m, err := decodeManifest(changed)
	require.NoError(t, err)
	m.add[0].Rows++
	lost.files[manifestName(1)], err = m.encode()
	require.NoError(t, err)
	_, err = Open(lost, nil).Run(t.Context(), w.feed())
	requireCorrupt(t, err, "it does not follow manifest 1")
}

func TestTypeNames(t *testing.T) {
	for name, want := range map[string]string{
		"":              "__HIVE_DEFAULT_PARTITION__",
		"order.created": "order.created",
		"a/b=c%ä":       "a%2Fb%3Dc%25%C3%A4",
		"ends.":         "ends%2E",
	} {
		require.Equal(t, want, typeName(name))
	}
	long := fmt.Sprintf("%0300d", 1)
	require.Len(t, typeName(long), maxTypeName+17)
	require.NotEqual(t, typeName(long), typeName(long+"2"))
}
