package archive

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

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
// *DamagedError. Read takes at most some 256 MiB of memory for any file.
//
// Read does not use the reader of the Parquet library, which trusts the sizes and the
// counts in a file, and makes all the room that they ask for.
func Read(file io.ReaderAt, size int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		source := &source{ReaderAt: file}
		meta, err := readFooter(source, size)
		if err != nil {
			yield(Row{}, source.judge(err))
			return
		}
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer decoder.Close()
		for _, group := range meta.RowGroups {
			for row, err := range rowsOf(source, decoder, group) {
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

// rowsOf yields the rows of a row group.
func rowsOf(file io.ReaderAt, decoder *zstd.Decoder, group format.RowGroup) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		columns, err := columnReaders(file, decoder, group)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for range group.NumRows {
			var row Row
			values, err := nextValues(columns)
			if err == nil {
				row, err = rowOf(values)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func columnReaders(file io.ReaderAt, decoder *zstd.Decoder, group format.RowGroup) ([]*columnReader, error) {
	fields := schema.Fields()
	if len(group.Columns) != len(fields) {
		return nil, fmt.Errorf("a row group has %d columns", len(group.Columns))
	}
	pages := &pageDecoder{zstd: decoder}
	columns := make([]*columnReader, len(fields))
	for i, field := range fields {
		c, err := newColumnReader(file, pages, field, group.Columns[i].MetaData)
		if err != nil {
			return nil, err
		}
		columns[i] = c
	}
	return columns, nil
}

// nextValues returns the bytes of the next value of each column.
func nextValues(columns []*columnReader) (values [15][]byte, err error) {
	for i, c := range columns {
		if values[i], err = c.next(); err != nil {
			return values, fmt.Errorf("the column %q: %w", schema.Fields()[i].Name(), err)
		}
	}
	return values, nil
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
