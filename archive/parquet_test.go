package archive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/feed"
)

// manyRows returns rows of some aggregates, in no order.
func manyRows(n int) []Row {
	var rows []Row
	for i := range n {
		c := changesetOf(fmt.Sprintf("order-%d", i*7%5), uint64(i), "application/x-ndjson",
			fmt.Sprintf(`{"type":"T%d","id":"e%d","time":"2026-03-01T11:00:00Z","data":{"n":%d}}`+"\n"+`{"type":"U"}`, i%3, i, i))
		rows = slices.AppendSeq(rows, RowsOf(c, feed.Position{}))
	}
	return rows
}

func TestFilesAreSortedAndTheSame(t *testing.T) {
	rows := manyRows(500)
	file := written(t, rows)
	for i := range 20 { // the library keeps its encoders
		written(t, manyRows(10*i+1))
		require.Equal(t, file, written(t, rows))
	}
	read := roundTrip(t, rows)
	require.True(t, slices.IsSortedFunc(read, Row.compare))
	slices.SortFunc(rows, Row.compare)
	require.Equal(t, rows, read)
	require.Equal(t, file, written(t, rows), "the order within a row group does not matter")
}

func TestRowGroupsAreBounded(t *testing.T) {
	c := changesetOf("a", 1, "text/plain", strings.Repeat("x", groupBytes/3))
	var rows []Row
	for i := range 5 {
		c.Version = uint64(i)
		rows = slices.AppendSeq(rows, RowsOf(c, feed.Position{}))
	}
	file := written(t, rows)
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	require.Len(t, f.RowGroups(), 3)
	require.Equal(t, rows, roundTrip(t, rows))
}

func TestRowsThatNoFileCanHold(t *testing.T) {
	for _, row := range []Row{{Version: 1 << 63}, {Index: -1}, {Index: 1 << 31}, {Content: make([]byte, maxRowBytes)}} {
		w := NewWriter(&bytes.Buffer{})
		err := errors.Join(w.Write(row), w.Close())
		require.Error(t, err)
		require.Equal(t, row.Content != nil, errors.Is(err, changeset.ErrStoredTooLarge))
		require.Error(t, w.Write(Row{}), "the file is not usable")
	}
}

// failing fails every write.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error)         { return 0, f.err }
func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestErrorsOfTheDestinationAndTheSource(t *testing.T) {
	broken := failing{errors.New("broken")}
	w := NewWriter(broken)
	require.NoError(t, w.Write(manyRows(1)[0]))
	require.ErrorIs(t, w.Close(), broken.err)
	require.ErrorIs(t, w.Close(), broken.err)
	for _, err := range Read(broken, 1000) {
		require.Equal(t, broken.err, err)
	}
	var file bytes.Buffer
	w = NewWriter(&file)
	require.NoError(t, w.Close())
	require.Error(t, w.Write(Row{}))
	for range Read(bytes.NewReader(file.Bytes()), int64(file.Len())) {
		require.Fail(t, "a file without rows")
	}
}

func TestRewriteWithoutAggregates(t *testing.T) {
	rows := manyRows(100)
	file := written(t, rows)
	var out bytes.Buffer
	kept, dropped, err := rewriteWithout(&out, bytes.NewReader(file), int64(len(file)), func(id string) bool { return id == "order-3" })
	require.NoError(t, err)
	require.Equal(t, 160, kept)
	require.Equal(t, 40, dropped)
	rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Aggregate == "order-3" })
	require.Equal(t, written(t, rows), out.Bytes())
	require.NotContains(t, out.String(), "order-3")

	_, _, err = rewriteWithout(&out, bytes.NewReader(file[:100]), 100, nil)
	_, damaged := errors.AsType[*DamagedError](err)
	require.True(t, damaged)
}
