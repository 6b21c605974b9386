// Package commitlog has what backends with a log of all commits ([head.Log])
// share: what a swap adds to the log, marks, and the bell that wakes followers.
package commitlog

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync"

	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// Page is the largest number of entries of a page.
const Page = 256

// Advance returns what a swap of old by next adds to the log. It reports false
// if the log has no entry for the swap: fences, void heads, checkpoints, and swaps
// of reserved aggregates.
//
// A head that is replaced by another changeset of the same version has no entry
// either. No chain continues so, and an entry could not follow the entries of
// the aggregate. The next entry shows it: its Before is not the ID of the entry
// before.
func Advance(old, next head.Head) (a head.Advance, ok bool) {
	if reserved.Is(next.AggregateID) || !next.Exists() || next.Len() == old.Len() && next.State == old.State {
		return head.Advance{}, false
	}
	return head.Advance{
		AggregateID: next.AggregateID,
		First:       old.Len(),
		Last:        next.Version,
		ID:          next.ID,
		Before:      old.ID,
		Erased:      next.State == head.Erased,
	}, true
}

// NewMark returns eight random bytes, which are never all zero.
func NewMark() (mark [8]byte) {
	for mark == [8]byte{} {
		binary.BigEndian.PutUint64(mark[:], rand.Uint64())
	}
	return mark
}

// Generation returns the name of the log whose mark is given.
func Generation(mark [8]byte) string { return hex.EncodeToString(mark[:]) }

// Bell wakes the followers of a log. It is ready for use, and safe for concurrent
// use. It keeps nothing of a follower that has left.
type Bell struct {
	mu        sync.Mutex
	followers map[chan struct{}]struct{}
}

// Listen returns a channel that receives after each ring, at least once for all
// rings since the last receive. The follower must call leave at its end.
func (b *Bell) Listen() (rung <-chan struct{}, leave func()) {
	follower := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.followers == nil {
		b.followers = map[chan struct{}]struct{}{}
	}
	b.followers[follower] = struct{}{}
	return follower, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.followers, follower)
	}
}

// Ring wakes all followers. It does not wait for them.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for follower := range b.followers {
		select {
		case follower <- struct{}{}:
		default: // it has not yet woken from an earlier ring
		}
	}
}
