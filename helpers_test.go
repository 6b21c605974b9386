package ropewalk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ropewalk"
)

// contextFor returns a context that ends soon enough for a request that hangs.
func contextFor(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Minute)
}

func isConflict(err error) bool {
	var conflict *ropewalk.ConflictError
	return errors.As(err, &conflict)
}
