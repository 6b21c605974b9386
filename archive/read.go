package archive

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
)

// readRows is how many rows a read holds.
const readRows = 64

// DamagedError says that a file is not one that a [Writer] has written.
type DamagedError struct {
	// Reason says what is wrong.
	Reason error
}

// Error names the reason.
func (e *DamagedError) Error() string { return "not a sound archive file: " + e.Reason.Error() }

// Unwrap returns the reason.
func (e *DamagedError) Unwrap() error { return e.Reason }

// Read yields the rows of a Parquet file that a [Writer] wrote, in their order. At
// most one error ends the sequence: an error of the file's reader, or a
// *DamagedError. It takes at most some 256 MiB of memory, whatever the file says.
func Read(file io.ReaderAt, size int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		source := &source{ReaderAt: file}
		f, err := open(source, size)
		if err != nil {
			yield(Row{}, source.judge(err))
			return
		}
		for _, group := range f.RowGroups() {
			for row, err := range rowsOf(group) {
				if err != nil {
					yield(Row{}, source.judge(err))
					return
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// open opens a file that has the format.
func open(file io.ReaderAt, size int64) (f *parquet.File, err error) {
	return f, guarded(func() error {
		f, err = parquet.OpenFile(file, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		if err != nil {
			return err
		}
		if n, _ := f.Lookup(formatKey); n != format {
			return fmt.Errorf("format %q, want %q", n, format)
		}
		if !parquet.EqualNodes(f.Schema(), schema) {
			return errors.New("other columns")
		}
		return nil
	})
}

// rowsOf yields the rows of a row group.
func rowsOf(group parquet.RowGroup) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var rows parquet.Rows
		err := guarded(func() error {
			rows = group.Rows()
			return nil
		})
		if err == nil {
			defer func() { _ = guarded(rows.Close) }()
		}
		buffer := make([]parquet.Row, readRows)
		for err == nil {
			n := 0
			err = guarded(func() (err error) {
				n, err = rows.ReadRows(buffer)
				return err
			})
			for _, values := range buffer[:n] {
				row, err := rowOf(values)
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(Row{}, err)
		}
	}
}

// source remembers the error of a read, which says nothing about the file.
type source struct {
	io.ReaderAt
	err error
}

// ReadAt reads from the file.
func (s *source) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, at)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// judge returns the error of the read, or else says that the file is damaged.
func (s *source) judge(err error) error {
	if s.err != nil {
		return s.err
	}
	return &DamagedError{err}
}

// rewriteWithout writes the rows whose aggregate is not dropped, in their order, and
// returns how many rows it kept and dropped. Without rows to keep the file is empty.
func rewriteWithout(w io.Writer, file io.ReaderAt, size int64, drop func(aggregate string) bool) (kept, dropped int, err error) {
	out := NewWriter(w)
	for row, err := range Read(file, size) {
		if err != nil {
			return kept, dropped, err
		}
		if drop(row.Aggregate) {
			dropped++
			continue
		}
		if err := out.Write(row); err != nil {
			return kept, dropped, err
		}
		kept++
	}
	return kept, dropped, out.Close()
}

// guarded calls f and makes an error of a panic: the Parquet library panics on some
// files that it cannot read.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parquet: %v", p)
		}
	}()
	return f()
}
