package inspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/parallel"
	"ropewalk/internal/reserved"
)

// Kind says what has become of a stored changeset.
type Kind int

// The kinds of changesets.
const (
	// Unknown means that the kind is unknown: the object does not decode, or lies
	// where the chain is broken, or its head is missing.
	Unknown Kind = iota
	// Committed changesets are in the chain.
	Committed
	// Lost changesets are orphans that can never enter the chain.
	Lost
	// Pending changesets are orphans whose swap may still come.
	Pending
	// Ahead changesets were built on a revision that the head has not reached: on an
	// append that is itself pending, or on a head that was rolled back since.
	Ahead
	// Missing changesets are not stored, although the chain needs them.
	Missing
)

// String returns the kind in lower case.
func (k Kind) String() string {
	return [...]string{"unknown", "committed", "lost", "pending", "ahead", "missing"}[k]
}

// Report is what was found of one aggregate.
type Report struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Head is the head at which the aggregate was looked at; the zero Head
	// if there is no head, or the head does not decode.
	Head head.Head
	// Committed counts the changesets of the chain, and InHead the changesets among them
	// that are in the tip of the head alone.
	Committed, InHead int
	// Bytes is the size of their contents: as they are stored, where an object has one
	// changeset or is left unread, and as they were appended in packs and in the tip.
	Bytes int64
	// Lost, Pending, Ahead and Unknown count the changesets that are stored but are not
	// in the chain, by the [Kind] of their objects. Copies of changesets of the chain,
	// which objects of packed chains may have, do not count, unless the object does
	// not decode, or its lines are left unread ([Options.HeadersOnly]).
	// Of an erased chain all that is still stored counts as lost, unread.
	Lost, Pending, Ahead, Unknown int
	// Kept is the changeset that has the digest of [Inspector.VerifyDigest].
	// Without problems all of the history up to there is what it was.
	Kept changeset.Ref
	// Problems are the faults, in no particular order.
	Problems []Problem

	// inChain and outside are the parts of commits of several aggregates, see [Commits].
	inChain, outside []part
	unread           bool // there are packs whose lines were left unread
}

// Verify looks at every object of an aggregate and returns what it found. Its
// faults are in the report; an error means that the storage could not be read
// or the context has ended. An error that matches [changeset.ErrNotFound]
// means that there is neither head nor object, one that matches
// [changeset.ErrInvalidAggregateID] that the ID cannot be used.
//
// It makes a request for the head, one for each object, and one or more to
// list them. If the storage is a [changeset.ManyGetter], one request reads up to 64
// objects of 1 MiB together. Of each object it keeps 48 bytes, of objects of packed chains whose
// versions overlap 16 bytes for each changeset, and some 100 bytes of each commit of several
// aggregates; contents are let go as soon as they are checked. A chain may be appended to in the meantime: the
// report describes one moment.
func (in *Inspector) Verify(ctx context.Context, aggregateID string) (Report, error) {
	return in.verify(ctx, aggregateID, changeset.Digest{})
}

// VerifyDigest is Verify, and holds the chain against a digest that was kept
// before: it is a fault if no changeset of the chain has it.
func (in *Inspector) VerifyDigest(ctx context.Context, aggregateID string, kept changeset.Digest) (Report, error) {
	return in.verify(ctx, aggregateID, kept)
}

// VerifyAll verifies every aggregate that has an object or a head, several at
// once, each yielded once. The library's own chains, which have reserved IDs, are
// left out without [Options.Internal]. Snapshots are no chains, and always left
// out. At most one error ends it. It keeps some 32 bytes of each aggregate in
// memory, besides what Verify keeps of aggregates under way. [Commits] proves the commits
// of several aggregates from the reports.
func (in *Inspector) VerifyAll(ctx context.Context) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		work := func(ctx context.Context, id string) (Report, error) {
			r, err := in.Verify(ctx, id)
			if errors.Is(err, changeset.ErrNotFound) {
				return Report{}, nil // collected since it was listed
			}
			return r, err
		}
		for r, err := range parallel.Map(ctx, in.parallel, in.aggregates, work) {
			if (err != nil || r.AggregateID != "") && !yield(r, err) {
				return
			}
		}
	}
}

// aggregates yields the IDs of all aggregates: those that have objects, and
// then those that have nothing but a head.
func (in *Inspector) aggregates(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[fingerprint]struct{}{}
		for id, err := range in.changesets.Aggregates(ctx, "") {
			if err != nil {
				yield("", fmt.Errorf("list aggregates: %w", err))
				return
			}
			if !in.wants(id) {
				continue
			}
			seen[fingerprintOf(id)] = struct{}{}
			if !yield(id, nil) {
				return
			}
		}
		for e, err := range headlist.All(ctx, in.heads, "") {
			id := e.AggregateID
			if _, met := seen[fingerprintOf(id)]; err == nil && (met || !in.wants(id)) {
				continue
			}
			seen[fingerprintOf(id)] = struct{}{}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// wants reports whether VerifyAll verifies an aggregate.
func (in *Inspector) wants(aggregateID string) bool {
	return !reserved.Is(aggregateID) || in.internal && reserved.IsChain(aggregateID)
}

// fingerprint stands for an aggregate ID, in less memory: no two are known to
// share one, and two that do cannot be made on purpose.
type fingerprint [16]byte

func fingerprintOf(aggregateID string) fingerprint {
	sum := sha256.Sum256([]byte(aggregateID))
	return fingerprint(sum[:16])
}

func (in *Inspector) verify(ctx context.Context, aggregateID string, kept changeset.Digest) (Report, error) {
	for {
		s, err := in.survey(ctx, aggregateID)
		if err != nil {
			return Report{}, err
		}
		r, err := s.verify(ctx, kept)
		if err != nil || len(r.Problems) == 0 || r.Head.State == head.Erased {
			return r, err
		}
		if erased, err := in.erased(ctx, aggregateID); err != nil || !erased {
			return r, err
		}
	}
}

// erased reports whether an erasure, which takes the objects away, has begun
// since the head was read.
func (in *Inspector) erased(ctx context.Context, aggregateID string) (bool, error) {
	h, _, err := in.load(ctx, aggregateID)
	return h.State == head.Erased, err
}
