package archive

import (
	"errors"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

const (
	// groupRows and groupBytes bound a row group, which the writer holds in memory.
	groupRows  = 1 << 16
	groupBytes = 16 << 20
	// pageBytes is about the size of a page, unless one row is larger.
	pageBytes = 256 << 10
	// maxRowBytes is the largest row.
	maxRowBytes = 128 << 20
)

// Writer writes rows as a Parquet file. It holds one row group in memory: 65,536
// rows or 16 MiB, or one larger row. Each row group is sorted by aggregate, version
// and index; the whole file is sorted if the rows come in that order. The same rows
// in the same order make the same bytes. A Writer is not safe for concurrent use.
type Writer struct {
	file  *parquet.GenericWriter[any]
	rows  []Row
	bytes int
	err   error
}

// NewWriter returns a writer of a file that w receives from its first byte on. The
// file is complete after [Writer.Close].
func NewWriter(w io.Writer) *Writer {
	order := parquet.SortingColumns(parquet.Ascending("aggregate"), parquet.Ascending("version"), parquet.Ascending("index"))
	return &Writer{file: parquet.NewGenericWriter[any](w, schema,
		parquet.Compression(&parquet.Zstd),
		parquet.CreatedBy("ropewalk", "1", "archive"),
		parquet.DataPageVersion(1), // which every reader knows
		parquet.DataPageStatistics(false),
		parquet.DictionaryMaxBytes(pageBytes),
		parquet.KeyValueMetadata(formatKey, formatNumber),
		parquet.PageBufferSize(pageBytes),
		unbounded("content"), unbounded("data"), unbounded("digest"), unbounded("envelope"), unbounded("event_id"), unbounded("metadata"), unbounded("type"),
		parquet.SortingWriterConfig(order),
	)}
}

// unbounded leaves out the least and the greatest value of a column, which can be long
// and do not help a query.
func unbounded(column string) parquet.WriterOption { return parquet.SkipPageBounds(column) }

// Write adds a row. After an error the file is not usable, and every later call fails.
// The error matches ropewalk.ErrStoredTooLarge if the row takes more than 128 MiB.
func (w *Writer) Write(row Row) error {
	if w.err != nil {
		return w.err
	}
	if w.bytes += row.size(); len(w.rows) == groupRows || w.bytes > groupBytes && len(w.rows) > 0 {
		w.flush()
		w.bytes = row.size()
	}
	w.rows = append(w.rows, row)
	return w.err
}

// Close writes what is left, and the end of the file. It does not close the
// destination.
func (w *Writer) Close() error {
	w.flush()
	if w.err == nil {
		w.err = guarded(w.file.Close)
	}
	if w.err != nil {
		return w.err
	}
	w.err = errClosed
	return nil
}

var errClosed = errors.New("the file is closed")

// flush writes the rows as a row group.
func (w *Writer) flush() {
	if w.err != nil || len(w.rows) == 0 {
		return
	}
	slices.SortStableFunc(w.rows, Row.compare)
	w.err = guarded(func() error {
		for _, row := range w.rows {
			if err := row.check(); err != nil {
				return err
			}
			if _, err := w.file.WriteRows([]parquet.Row{values(row)}); err != nil {
				return err
			}
		}
		return w.file.Flush()
	})
	clear(w.rows)
	w.rows, w.bytes = w.rows[:0], 0
}
