package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxHeader is the largest header of a page.
const maxHeader = 1 << 10

// columnReader reads the values of a column, in a row group, one after another.
type columnReader struct {
	file     io.ReaderAt
	at, end  int64 // the pages that are not read yet
	kind     parquet.Kind
	optional bool
	pages    *pageDecoder

	dictionary [][]byte
	left       int32  // values left in the page
	levels     *runs  // whether a value is NULL; nil if no value may be
	indexes    *runs  // into the dictionary; nil if the page has the values
	plain      []byte // the values
}

// newColumnReader returns the reader of a column whose pages are before the end of the
// rows.
func newColumnReader(file io.ReaderAt, pages *pageDecoder, column parquet.Field, chunk format.ColumnMetaData) (*columnReader, error) {
	start := chunk.DataPageOffset
	if chunk.DictionaryPageOffset > 0 {
		start = chunk.DictionaryPageOffset
	}
	if chunk.Codec != format.Zstd || start < 0 || chunk.TotalCompressedSize < 0 {
		return nil, errPage
	}
	return &columnReader{
		file: file, at: start, end: start + chunk.TotalCompressedSize,
		kind: column.Type().Kind(), optional: column.Optional(), pages: pages,
	}, nil
}

// next returns the bytes of the next value. NULL is nil.
func (c *columnReader) next() ([]byte, error) {
	for c.left == 0 {
		if err := c.readPage(); err != nil {
			return nil, err
		}
	}
	c.left--
	if c.levels != nil {
		if level, err := c.levels.next(); err != nil || level == 0 {
			return nil, err
		}
	}
	if c.indexes != nil {
		i, err := c.indexes.next()
		if err != nil || uint64(i) >= uint64(len(c.dictionary)) {
			return nil, errors.Join(err, errPage)
		}
		return c.dictionary[i], nil
	}
	value, rest, err := cut(c.plain, c.kind)
	c.plain = rest
	return value, err
}

// cut returns the first of plain values, and the others.
func cut(plain []byte, kind parquet.Kind) (value, rest []byte, err error) {
	size := uint64(4)
	switch {
	case kind == parquet.Int64:
		size = 8
	case kind == parquet.ByteArray && len(plain) < 4:
		return nil, nil, errPage
	case kind == parquet.ByteArray:
		size, plain = uint64(binary.LittleEndian.Uint32(plain)), plain[4:]
	}
	if size > uint64(len(plain)) {
		return nil, nil, errPage
	}
	return plain[:size:size], plain[size:], nil
}

// readPage reads the next page, which may be the dictionary.
func (c *columnReader) readPage() error {
	text, err := readAt(c.file, c.at, int(min(maxHeader, c.end-c.at)))
	if err != nil {
		return err
	}
	var header format.PageHeader
	rest, err := decodeThrift(text, 0, &header)
	if err != nil {
		return err
	}
	c.at += int64(len(text) - len(rest))
	size := int64(header.CompressedPageSize)
	if size < 0 || size > min(maxHeld, c.end-c.at) {
		return errPage
	}
	compressed, err := readAt(c.file, c.at, int(size))
	if err != nil {
		return err
	}
	c.at += size
	switch header.Type {
	case format.DictionaryPage:
		return c.setDictionary(compressed, header)
	case format.DataPage:
		return c.setPage(compressed, header)
	}
	return fmt.Errorf("a page of type %s", header.Type)
}

// setDictionary takes the dictionary, which stays until the end of the row group.
func (c *columnReader) setDictionary(compressed []byte, header format.PageHeader) error {
	values, err := c.pages.decode(compressed, header.UncompressedPageSize)
	if err != nil || c.kind != parquet.ByteArray {
		return errors.Join(err, errPage)
	}
	c.dictionary = nil
	for len(values) > 0 {
		value, rest, err := cut(values, c.kind)
		if err != nil {
			return err
		}
		if err := c.pages.hold(int(unsafe.Sizeof(value))); err != nil {
			return err
		}
		c.dictionary, values = append(c.dictionary, value), rest
	}
	return nil
}

// setPage takes a page of values in place of the page before.
func (c *columnReader) setPage(compressed []byte, header format.PageHeader) error {
	c.plain, c.indexes, c.levels = nil, nil, nil
	page, err := c.pages.decode(compressed, header.UncompressedPageSize)
	if err != nil {
		return err
	}
	if c.left = header.DataPageHeader.V.NumValues; c.left < 0 {
		return errPage
	}
	if c.optional {
		levels, rest, err := cut(page, parquet.ByteArray) // both have their length first
		if err != nil {
			return err
		}
		c.levels, page = &runs{data: levels, width: 1}, rest
	}
	switch header.DataPageHeader.V.Encoding {
	case format.Plain:
		c.plain = page
		return nil
	case format.RLEDictionary:
		if len(page) > 0 {
			c.indexes = &runs{data: page[1:], width: int(page[0])}
			return nil
		}
	}
	return errPage
}

// pageDecoder decompresses the pages of a row group.
type pageDecoder struct {
	zstd *zstd.Decoder
	held int // bytes that the pages had so far
}

const (
	// maxHeld is the largest row group: the largest row, with room for what Parquet
	// adds.
	maxHeld = maxRowBytes + 32<<20
	// maxWindow is the largest window of a page, which the writer keeps below.
	maxWindow = 32 << 20
)

var errHeld = fmt.Errorf("the pages of a row group take more than %d bytes", maxHeld)

// hold counts bytes as held until the end of the row group.
func (d *pageDecoder) hold(n int) error {
	if d.held += n; n < 0 || d.held > maxHeld {
		return errHeld
	}
	return nil
}

// decode decompresses a page to the given size. It makes no more room than that,
// no matter what the page has.
func (d *pageDecoder) decode(compressed []byte, size int32) ([]byte, error) {
	if err := d.hold(int(size)); err != nil {
		return nil, err
	}
	if err := d.zstd.Reset(bytes.NewReader(compressed)); err != nil {
		return nil, err
	}
	page := make([]byte, size)
	if _, err := io.ReadFull(d.zstd, page); err != nil {
		return nil, err
	}
	if n, err := d.zstd.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, errPage)
	}
	return page, nil
}
