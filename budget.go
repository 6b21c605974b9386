package ropewalk

import (
	"sync"

	"ropewalk/changeset"
)

// budget bounds the bytes of content that a walk holds. The version that is
// needed next always passes, however large it is.
type budget struct {
	mu          sync.Mutex
	limit, held int64
	needed      uint64
}

func (b *budget) need(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needed = version
}

// take also refuses what lies so far ahead that, were all before it as large,
// there would be no room for them: it would be held for long, in their place.
func (b *budget) take(h changeset.Header) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ahead := int64(max(h.Version, b.needed) - min(h.Version, b.needed))
	if ahead > 0 && (b.held+h.ContentSize > b.limit || h.ContentSize > b.limit/ahead) {
		return false
	}
	b.held += h.ContentSize
	return true
}

// add counts bytes that are held, or with a negative size are no more.
func (b *budget) add(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += size
}
