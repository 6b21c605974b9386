package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	magic = "PAR1"
	// maxFooter and maxItems bound the footer, and the elements of lists in it: enough
	// for some 1,000 row groups.
	maxFooter = 4 << 20
	maxItems  = 1 << 17
)

// readFooter returns the footer of a file that has the format.
func readFooter(file io.ReaderAt, size int64) (*format.FileMetaData, error) {
	const tail = 4 + len(magic)
	if size < int64(tail) {
		return nil, fmt.Errorf("%d bytes", size)
	}
	end, err := readAt(file, size-int64(tail), tail)
	if err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(end))
	if string(end[4:]) != magic || length > min(maxFooter, size-int64(tail)) {
		return nil, fmt.Errorf("the footer, which ends in %q, is not Parquet, or too long", end)
	}
	text, err := readAt(file, size-int64(tail)-length, int(length))
	if err != nil {
		return nil, err
	}
	var meta format.FileMetaData
	if _, err := decodeThrift(text, maxItems, &meta); err != nil {
		return nil, fmt.Errorf("the footer: %w", err)
	}
	return &meta, checkFormat(&meta)
}

// checkFormat returns an error unless the file says that it has the format, and has
// its columns.
func checkFormat(meta *format.FileMetaData) error {
	version := ""
	for _, kv := range meta.KeyValueMetadata {
		if kv.Key == formatKey {
			version = kv.Value
		}
	}
	if version != formatNumber {
		return fmt.Errorf("format %q instead of %q", version, formatNumber)
	}
	fields := schema.Fields()
	if len(meta.Schema) != 1+len(fields) {
		return errors.New("other columns")
	}
	for i, field := range fields {
		e := meta.Schema[i+1]
		if e.Name != field.Name() || e.Type.V != format.Type(field.Type().Kind()) || (e.RepetitionType.V == format.Optional) != field.Optional() || e.RepetitionType.V == format.Repeated {
			return fmt.Errorf("the column %q instead of %q, or of another type", e.Name, field.Name())
		}
	}
	return nil
}

// readAt reads exactly n bytes.
func readAt(file io.ReaderAt, at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if m, err := file.ReadAt(b, at); m < n {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, at, err)
	}
	return b, nil
}

// decodeThrift decodes the structure that a text begins with, and returns the rest of
// the text. It checks the structure before: the decoder makes all the room that
// a list asks for.
func decodeThrift(text []byte, items int, to any) (rest []byte, err error) {
	w := walker{rest: text, items: items}
	if err := w.structure(0); err != nil {
		return nil, err
	}
	text = text[: len(text)-len(w.rest) : len(text)-len(w.rest)]
	return w.rest, guarded(func() error { return thrift.Unmarshal(new(thrift.CompactProtocol), text, to) })
}

// walker walks over a structure in Thrift's compact form.
type walker struct {
	rest  []byte
	items int // how many elements lists may still have
}

var errThrift = errors.New("it does not decode")

// maxDepth is the deepest structure, which Parquet does not come near.
const maxDepth = 16

func (w *walker) structure(depth int) error {
	for depth < maxDepth {
		head, err := w.take(1)
		if err != nil || head[0] == 0 {
			return err
		}
		if head[0]>>4 == 0 { // the field's number follows
			if _, err := w.number(); err != nil {
				return err
			}
		}
		kind := head[0] & 0xf
		if kind == 1 || kind == 2 { // a field that is true or false has no value
			continue
		}
		if err := w.value(kind, depth); err != nil {
			return err
		}
	}
	return errThrift
}

func (w *walker) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3: // a boolean in a list, a byte
		_, err := w.take(1)
		return err
	case 4, 5, 6: // whole numbers
		_, err := w.number()
		return err
	case 7: // a floating-point number
		_, err := w.take(8)
		return err
	case 8: // text
		n, err := w.number()
		if err == nil {
			_, err = w.take(n)
		}
		return err
	case 9, 10: // a list or a set
		return w.list(depth)
	case 12:
		return w.structure(depth + 1)
	}
	return errThrift // Parquet has no maps
}

func (w *walker) list(depth int) error {
	head, err := w.take(1)
	if err != nil {
		return err
	}
	n := uint64(head[0] >> 4)
	if n == 15 {
		if n, err = w.number(); err != nil {
			return err
		}
	}
	if n > uint64(w.items) {
		return errThrift
	}
	w.items -= int(n)
	for range n {
		if err := w.value(head[0]&0xf, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) number() (uint64, error) {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		return 0, errThrift
	}
	w.rest = w.rest[n:]
	return v, nil
}

func (w *walker) take(n uint64) ([]byte, error) {
	if n > uint64(len(w.rest)) {
		return nil, errThrift
	}
	taken := w.rest[:n]
	w.rest = w.rest[n:]
	return taken, nil
}

// guarded calls f and makes an error of a panic.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the Parquet library: %v", p)
		}
	}()
	return f()
}
