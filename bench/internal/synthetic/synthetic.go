// Package synthetic is a storage that keeps nothing: a chain of any length whose
// changesets are computed when they are read, always the same, with links and
// digests that hold. All memory that reading it takes is the reader's own.
package synthetic

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// History is a chain that was never written: of up to n changesets, each with
// content of the same size. It is safe for concurrent use. Of the digests,
// which follow from each other, it keeps every block's first, and the blocks
// that were used last.
type History struct {
	id     string
	size   int
	before []changeset.Digest // of the parent of each block's first changeset

	mu     sync.Mutex
	blocks map[uint64][]changeset.Digest
	recent []uint64 // the oldest first
}

// blockSize is how many digests are computed together, keptBlocks how many
// blocks are kept: 4 MiB in all.
const blockSize, keptBlocks = 1024, 128

// New computes a history, which takes some microseconds for each changeset.
func New(aggregateID string, n, size int) *History {
	h := &History{id: aggregateID, size: size, blocks: map[uint64][]changeset.Digest{}}
	var parent changeset.Digest
	for block := range uint64(n+blockSize-1) / blockSize {
		h.before = append(h.before, parent)
		digests := h.compute(block)
		parent = digests[len(digests)-1]
	}
	return h
}

// compute returns the digests of a block.
func (h *History) compute(block uint64) []changeset.Digest {
	digests := make([]changeset.Digest, blockSize)
	parent := h.before[block]
	for i := range digests {
		header := h.unproved(block*blockSize + uint64(i))
		parent = header.ComputeDigest(parent)
		digests[i] = parent
	}
	return digests
}

func (h *History) digest(version uint64) changeset.Digest {
	h.mu.Lock()
	defer h.mu.Unlock()
	block := version / blockSize
	digests, ok := h.blocks[block]
	if !ok {
		digests = h.compute(block)
		h.blocks[block] = digests
		if h.recent = append(h.recent, block); len(h.recent) > keptBlocks {
			delete(h.blocks, h.recent[0])
			h.recent = h.recent[1:]
		}
	}
	return digests[version%blockSize]
}

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// id returns a version's ID, a version 7 UUID.
func id(version uint64) (id changeset.ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(began.UnixMilli())<<16)
	id[6] = 0x70
	binary.BigEndian.PutUint64(id[8:], version)
	id[8] |= 0x80
	return id
}

// index returns the ancestor index of a version, by the formula of DESIGN.md.
func index(version uint64) changeset.Index {
	var packed []byte
	for wheel, step := 0, uint64(1); wheel < 4 && version > 0; wheel, step = wheel+1, step*16 {
		turned := version / step
		n := turned % 16
		if wheel == 3 {
			n = min(6, turned)
		}
		packed = append(packed, byte(n))
		for j := uint64(1); j <= n; j++ {
			ancestor := id((turned-n+j)*step - 1)
			packed = append(packed, ancestor[:]...)
		}
	}
	ix, err := changeset.ParseIndex(version, packed)
	if err != nil {
		panic(fmt.Sprintf("the index of version %d: %v", version, err))
	}
	return ix
}

func (h *History) content(version uint64) []byte {
	content := make([]byte, h.size)
	for at := 0; at+8 <= len(content); at += 8 {
		binary.BigEndian.PutUint64(content[at:], version)
	}
	return content
}

// unproved returns the header of a version without its digest.
func (h *History) unproved(version uint64) changeset.Header {
	ix := index(version)
	return changeset.Header{
		Ref:           changeset.Ref{AggregateID: h.id, Version: version, ID: id(version)},
		Parent:        ix.Parent(),
		AfterRevision: version,
		Ancestors:     ix,
		ContentType:   changeset.DefaultContentType,
		BodySize:      int64(h.size),
		BodySHA256:    sha256.Sum256(h.content(version)),
		RecordedAt:    began.Add(time.Duration(version) * time.Second),
	}
}

func (h *History) header(version uint64) changeset.Header {
	header := h.unproved(version)
	header.Digest = h.digest(version)
	return header
}

// Head returns the head when the history had n changesets.
func (h *History) Head(n int) head.Head {
	if n == 0 {
		return head.Head{}
	}
	return head.At(h.header(uint64(n - 1)))
}

// At returns the history as a storage, of both interfaces, that is still at its
// first n changesets. It takes every append, and forgets it.
func (h *History) At(n int) *Store { return &Store{h, n} }

// Store is a history at one length. It is safe for concurrent use.
type Store struct {
	*History
	n int
}

// Put takes a changeset, and keeps nothing of it.
func (s *Store) Put(ctx context.Context, _ changeset.Changeset) error { return ctx.Err() }

// Get computes a changeset.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	info, err := s.Stat(ctx, ref)
	if err == nil {
		err = admission.Admit(info.Header)
	}
	if err != nil {
		return changeset.Changeset{}, err
	}
	return changeset.Changeset{Header: info.Header, Body: s.content(ref.Version)}, nil
}

// Stat computes the header of a changeset.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if err := ctx.Err(); err != nil {
		return changeset.Info{}, err
	}
	if ref.AggregateID != s.id || ref.Version >= uint64(s.n) || ref.ID != id(ref.Version) {
		return changeset.Info{}, fmt.Errorf("%s: %w", ref, changeset.ErrNotFound)
	}
	return changeset.Info{Header: s.header(ref.Version), LastModified: began}, nil
}

// Load returns the head.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	if aggregateID != s.id {
		return head.Head{}, ctx.Err()
	}
	return s.Head(s.n), ctx.Err()
}

// Swap returns the next head, and keeps nothing of it.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return next, errors.Join(ctx.Err(), head.CheckSwap(old, next))
}

// List yields the one head.
func (s *Store) List(ctx context.Context, _ string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) { yield(s.Head(s.n), ctx.Err()) }
}

// Objects yields all that the history has.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		for v := uint64(0); aggregateID == s.id && v < uint64(s.n); v++ {
			ref := changeset.Ref{AggregateID: s.id, Version: v, ID: id(v)}
			if !yield(changeset.Object{Ref: ref, Size: int64(s.size), LastModified: began}, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

// Aggregates yields the one aggregate.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if after < s.id {
			yield(s.id, ctx.Err())
		}
	}
}
