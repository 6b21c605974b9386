package walk

import (
	"sync"

	"ropewalk/changeset"
)

// budget bounds the bytes of the bodies that a walk holds. The body that is needed
// next always passes, however large it is.
type budget struct {
	mu          sync.Mutex
	limit, held int64
	needed      uint64 // by its number
}

func (b *budget) need(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needed = number
}

// widen sets another limit.
func (b *budget) widen(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
}

// take reserves room for the body of an object. It also refuses a body so far
// ahead that the objects before it would have no room if they were as large: it
// would be held for long, in their place.
func (b *budget) take(h changeset.Header) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	number := numberOf(h)
	ahead := int64(max(number, b.needed) - min(number, b.needed))
	if ahead > 0 && (b.held+h.BodySize > b.limit || h.BodySize > b.limit/ahead) {
		return false
	}
	b.held += h.BodySize
	return true
}

// add counts bytes that are held, or released if size is negative.
func (b *budget) add(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += size
}
