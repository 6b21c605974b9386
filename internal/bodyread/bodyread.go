// Package bodyread reads bodies whose size a storage has announced. An
// announcement costs nothing, so that it must not cost the reader its memory.
package bodyread

import (
	"bytes"
	"fmt"
	"io"
)

// Trusted is the largest size, in bytes, that is taken at its word: the default
// limit of contents. Content announced to be larger is read into memory that
// grows as bytes arrive.
const Trusted = 64 << 20

// Read reads a body of the announced size in bytes. Its error, next to what it
// has read, is the reader's, or matches [io.ErrUnexpectedEOF] where the body is
// shorter or longer than announced.
func Read(body io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return nil, fmt.Errorf("a body of %d bytes is announced", size)
	}
	content := bytes.NewBuffer(make([]byte, 0, min(size, Trusted)+bytes.MinRead))
	_, err := content.ReadFrom(io.LimitReader(body, max(size, size+1)))
	if n := int64(content.Len()); err == nil && n != size {
		err = fmt.Errorf("%d bytes arrived of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	return content.Bytes(), err
}

// ReadUnknown reads a body of unknown size, of at most [Trusted] bytes. A body
// above that is an error.
func ReadUnknown(body io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(body, Trusted+1))
	if err == nil && len(content) > Trusted {
		return nil, fmt.Errorf("the reply does not say how large it is, and has more than %d bytes", Trusted)
	}
	return content, err
}
