package azurestore

import (
	"context"
	"io"

	"ropewalk/internal/bodyread"
	"ropewalk/internal/transport"
)

// bodyTries is how often a body that breaks off is requested in all: the SDK's
// own retries end where a body begins.
const bodyTries = 3

// brokenError says that a body broke off.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

func (e *brokenError) Unwrap() error { return e.err }

// whole reads again if a body broke off.
func whole[T any](ctx context.Context, read func() (T, error)) (T, error) {
	got, err := read()
	for tries := 1; is[*brokenError](err) && tries < bodyTries && ctx.Err() == nil; tries++ {
		got, err = read()
	}
	return got, err
}

// readBody reads a body of at most limit bytes: as many as the reply announces,
// or all that arrive if it announces no size. Beyond the limit its error matches
// [transport.ErrTooLarge].
func readBody(body io.Reader, size *int64, limit int64) ([]byte, error) {
	if size != nil && *size > limit {
		return nil, transport.ErrTooLarge
	}
	if size != nil {
		return bodyread.Read(body, *size)
	}
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = transport.ErrTooLarge
	}
	return content, err
}
