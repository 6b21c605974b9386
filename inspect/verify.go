package inspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"

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
	return in.verify(ctx, aggregateID, changeset.Digest{}, nil)
}

// VerifyDigest is Verify, and holds the chain against a digest that was kept
// before: it is a fault if no changeset of the chain has it.
func (in *Inspector) VerifyDigest(ctx context.Context, aggregateID string, kept changeset.Digest) (Report, error) {
	return in.verify(ctx, aggregateID, kept, nil)
}

// VerifyAll verifies every aggregate that has an object or a head, several at
// once, each yielded once. The library's own chains, which have reserved IDs, are
// left out without [Options.Internal]. Snapshots are no chains, and always left
// out. At most one error ends it. It keeps some 32 bytes of each aggregate in
// memory, besides what Verify keeps of aggregates under way. [Commits] proves the commits
// of several aggregates from the reports.
//
// If the storage is a [changeset.Scanner], the heads are listed, and not loaded one by one,
// and one request lists and reads the objects of up to 64 small aggregates. The checks and
// the reports are the same.
func (in *Inspector) VerifyAll(ctx context.Context) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		for reports, err := range in.reports(ctx) {
			for _, r := range reports {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(Report{}, err)
				return
			}
		}
	}
}

// reports yields the reports of all aggregates, batch by batch.
func (in *Inspector) reports(ctx context.Context) iter.Seq2[[]Report, error] {
	if in.scans() {
		return parallel.Map(ctx, in.scansUnderWay(), in.entryBatches, in.verifyBatch)
	}
	return parallel.Map(ctx, in.parallel, in.entries, func(ctx context.Context, e headlist.Entry) ([]Report, error) {
		return in.verifyListed(ctx, e.AggregateID, nil)
	})
}

// verifyListed verifies an aggregate that was listed; a survey of it may be given. It
// returns no report if the aggregate was collected since.
func (in *Inspector) verifyListed(ctx context.Context, aggregateID string, s *survey) ([]Report, error) {
	r, err := in.verify(ctx, aggregateID, changeset.Digest{}, s)
	switch {
	case errors.Is(err, changeset.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []Report{r}, nil
}

// entries yields all aggregates: those that have objects, and then those that have
// nothing but a head. If many aggregates are looked at together, the heads come first, since
// a head that was listed need not be loaded.
func (in *Inspector) entries(ctx context.Context) iter.Seq2[headlist.Entry, error] {
	listings := []iter.Seq2[headlist.Entry, error]{in.withObjects(ctx), headlist.All(ctx, in.heads, "")}
	if in.scans() {
		slices.Reverse(listings)
	}
	return func(yield func(headlist.Entry, error) bool) {
		seen := map[fingerprint]struct{}{}
		for _, listing := range listings {
			for e, err := range listing {
				id := e.AggregateID
				if _, met := seen[fingerprintOf(id)]; err == nil && (met || !in.wants(id)) {
					continue
				}
				seen[fingerprintOf(id)] = struct{}{}
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// withObjects yields the aggregates that have objects.
func (in *Inspector) withObjects(ctx context.Context) iter.Seq2[headlist.Entry, error] {
	return func(yield func(headlist.Entry, error) bool) {
		for id, err := range in.changesets.Aggregates(ctx, "") {
			if err != nil {
				err = fmt.Errorf("list aggregates: %w", err)
			}
			if !yield(headlist.Entry{AggregateID: id}, err) || err != nil {
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

// verify verifies an aggregate. A survey of it may be given; otherwise it is nil.
func (in *Inspector) verify(ctx context.Context, aggregateID string, kept changeset.Digest, s *survey) (Report, error) {
	for {
		var err error
		if s == nil {
			s, err = in.survey(ctx, aggregateID)
		}
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
		s = nil
	}
}

// erased reports whether an erasure, which takes the objects away, has begun
// since the head was read.
func (in *Inspector) erased(ctx context.Context, aggregateID string) (bool, error) {
	h, _, err := in.load(ctx, aggregateID)
	return h.State == head.Erased, err
}
