package peers

import (
	"context"
	"errors"
)

// Embedded is an event store within the process, on the local disk.
type Embedded interface {
	// Append must store the event at a version that must not be there yet,
	// durably: once it returns, the disk has it.
	Append(ctx context.Context, aggregateID string, version uint64, event []byte) error
	// Read must read all events of the aggregate, in order, and return how many.
	Read(ctx context.Context, aggregateID string) (int, error)
	Close() error
}

// ErrConflict means that the version exists already, or the previous one does not.
var ErrConflict = errors.New("conflict")
