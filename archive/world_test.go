package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
)

// world is a store whose history is archived.
type world struct {
	t     testing.TB
	db    *memstore.Store
	store *ropewalk.Store
	// writers take turns at writing.
	writers []*ropewalk.Store
	heads   map[string]ropewalk.Head
	seen    int // events that were written
}

// formats are the options of the writers of new worlds: nil means format 1.
var formats []*ropewalk.Options

func newWorld(t testing.TB) *world {
	db := memstore.New()
	w := &world{t: t, db: db, store: ropewalk.New(db, db, nil), heads: map[string]ropewalk.Head{}}
	for _, o := range formats {
		w.writers = append(w.writers, ropewalk.New(db, faults.TwoSteps(db), o)) // in one step there is no tip
	}
	if w.writers == nil {
		w.writers = []*ropewalk.Store{w.store}
	}
	return w
}

func (w *world) feed() *feed.Feed { return feed.Open(w.store, nil) }

// write appends a changeset with one event of each type to an aggregate.
func (w *world) write(id string, types ...string) {
	w.t.Helper()
	var content bytes.Buffer
	for _, t := range types {
		w.seen++
		fmt.Fprintf(&content, `{"type":%q,"data":{"of":%q,"n":%d}}`+"\n", t, id, w.seen)
	}
	writer := w.writers[w.seen%len(w.writers)]
	h, err := writer.Chain(id).Append(w.t.Context(), w.heads[id], ropewalk.Draft{Content: content.Bytes(), ContentType: contentType})
	require.NoError(w.t, err)
	w.heads[id] = h
}

// fill writes n changesets to some aggregates.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		types := []string{"created", "changed", "order.shipped"}[i%3:]
		w.write(fmt.Sprintf("order-%d", i%5), types...)
	}
}

func (w *world) erase(id string) {
	w.t.Helper()
	_, err := gc.New(w.db, w.db, &gc.Options{Delete: true}).Erase(w.t.Context(), id)
	require.NoError(w.t, err)
	delete(w.heads, id)
}

// rows returns the rows of the store's own changesets, without positions.
func (w *world) rows() (all []string) {
	for id, h := range w.heads {
		for c, err := range w.store.Chain(id).ReaderAt(h).All(w.t.Context()) {
			require.NoError(w.t, err)
			for row := range RowsOf(c, feed.Position{}) {
				all = append(all, described(row))
			}
		}
	}
	slices.Sort(all)
	return all
}

func described(r Row) string {
	return fmt.Sprintf("%s@%d.%s#%d %s %s %s", r.Aggregate, r.Version, r.ChangesetID, r.Index, r.Type, r.Data, r.Digest)
}

// archived returns the rows of an archive as a reader sees them.
func archived(t testing.TB, d Destination) (all []string) {
	t.Helper()
	files, err := Open(d, nil).Files(t.Context())
	require.NoError(t, err)
	for _, f := range files {
		content, err := d.Read(t.Context(), f.Name, f.Bytes)
		require.NoError(t, err)
		require.Equal(t, f.SHA256, hash(content))
		rows := rowsIn(t, content)
		require.Len(t, rows, int(f.Rows))
		require.Equal(t, f.First, rows[0].Aggregate)
		require.Equal(t, f.Last, rows[len(rows)-1].Aggregate)
		require.True(t, slices.IsSortedFunc(rows, Row.compare), f.Name)
		for _, row := range rows {
			require.True(t, strings.HasPrefix(f.Name, folder(row)+"/"), f.Name)
			all = append(all, described(row))
		}
	}
	slices.Sort(all)
	return all
}

func rowsIn(t testing.TB, content []byte) []Row {
	t.Helper()
	rows, err := ropewalk.Collect(Read(bytes.NewReader(content), int64(len(content))))
	require.NoError(t, err)
	return rows
}

// memory is a destination in memory. Its requests can fail.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte
}

func newMemory() *memory { return &memory{files: map[string][]byte{}} }

func (m *memory) Create(_ context.Context, name string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.files[name]; exists {
		return fs.ErrExist
	}
	m.files[name] = bytes.Clone(content)
	return nil
}

func (m *memory) Read(_ context.Context, name string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, exists := m.files[name]
	if !exists {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(content[:min(int64(len(content)), limit+1)]), nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range m.names(prefix) {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (m *memory) names(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.files))
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memory) Locate(name string) string { return "memory:" + name }

// faulty is a destination whose n-th request fails, before or after its effect. If it
// kills, every later request fails too, and has no effect.
type faulty struct {
	Destination
	n      int
	after  bool
	kills  bool
	mu     sync.Mutex
	called int
}

var errFault = errors.New("fault")

// request makes one request.
func (f *faulty) request(do func() error) error {
	f.mu.Lock()
	f.called++
	struck, dead := f.called == f.n, f.kills && f.called > f.n
	f.mu.Unlock()
	if dead || struck && !f.after {
		return errFault
	}
	err := do()
	if struck {
		return errFault
	}
	return err
}

func (f *faulty) Create(ctx context.Context, name string, content []byte) error {
	return f.request(func() error { return f.Destination.Create(ctx, name, content) })
}

func (f *faulty) Read(ctx context.Context, name string, limit int64) (content []byte, err error) {
	err = f.request(func() (err error) {
		content, err = f.Destination.Read(ctx, name, limit)
		return err
	})
	return content, err
}

func (f *faulty) Delete(ctx context.Context, name string) error {
	return f.request(func() error { return f.Destination.Delete(ctx, name) })
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := f.request(func() error { return nil }); err != nil {
			yield("", err)
			return
		}
		f.Destination.List(ctx, prefix)(yield)
	}
}

// everyFault calls try with a destination that fails at each of its requests in turn,
// until a try meets no fault. With -short it leaves most requests out.
func everyFault(t *testing.T, try func(t *testing.T, fault func(Destination) *faulty)) {
	first, every := 1, 1
	if testing.Short() {
		every = 4
	}
	for _, after := range []bool{false, true} {
		for _, kills := range []bool{false, true} {
			for n, struck := first, true; struck; n += every {
				t.Run(fmt.Sprintf("request=%d,after=%v,kills=%v", n, after, kills), func(t *testing.T) {
					try(t, func(d Destination) *faulty {
						f := &faulty{Destination: d, n: n, after: after, kills: kills}
						t.Cleanup(func() { struck = f.called >= n })
						return f
					})
				})
				require.Less(t, n, 1000)
			}
			first = first%every + 1
		}
	}
}
