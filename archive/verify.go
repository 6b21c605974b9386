package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/feed"
)

// Proof is what [Archive.Verify] has proved of a part of the archive, and what it found
// wrong there.
type Proof struct {
	// Files, Bytes and Rows count what was read of the archive.
	Files, Bytes, Rows int64
	// Changesets is the number of changesets whose rows were proved, and Aggregates the
	// number of chains that the archive was held against.
	Changesets, Aggregates int64
	// Unproved is the number of rows of aggregates that were erased in the store, and whose
	// rows the archive still has: see [Archive.Erase]. Nothing is left that could prove
	// them.
	Unproved int64
	// Orphans is the number of files that do not belong to the archive. They do no harm,
	// and the next run deletes them.
	Orphans int64
	// Findings says what is wrong.
	Findings []Finding
}

// Finding is a place where the archive and the chains do not agree.
type Finding struct {
	// Ref names the changeset. It is zero if a whole file is wrong; if its ID is zero, a
	// whole aggregate is.
	Ref ropewalk.Ref
	// File is where the file is, or where it should be; empty if no file is wrong.
	File string
	// Problem says what was found.
	Problem string
}

// String returns the place and the problem.
func (f Finding) String() string {
	switch {
	case f.Ref.AggregateID == "":
		return f.File + ": " + f.Problem
	case f.Ref.ID.IsZero():
		return f.Ref.AggregateID + ": " + f.Problem
	case f.File == "":
		return f.Ref.String() + ": " + f.Problem
	}
	return f.Ref.String() + ": " + f.Problem + " (" + f.File + ")"
}

// ErrChanged means that the archive was changed by another process in the meantime.
var ErrChanged = errors.New("the archive was changed in the meantime")

// Verify proves every row of the archive against its chain: each file has the size and
// the hash of its manifest; each changeset up to the archive's position has its rows
// exactly once, and no other rows exist; each row is what the changeset says, which is
// what the digest says, and the digest is in the chain. It yields a proof for each
// manifest that has added changes, and a last proof about the chains.
//
// It reads the archive, the changesets up to its position and the heads, and keeps a
// batch and some 200 bytes of each aggregate in memory. Writers may be at work. At most
// one error ends the sequence. It matches [ErrChanged] if files were deleted in the
// meantime: verify again. Otherwise it is an error of [Archive.Run].
func (a *Archive) Verify(ctx context.Context, store *ropewalk.Store) iter.Seq2[Proof, error] {
	return func(yield func(Proof, error) bool) {
		s, err := a.loadExisting(ctx)
		if err != nil {
			yield(Proof{}, err)
			return
		}
		v := newVerification(a, s, store)
		for proof, err := range v.proofs(ctx) {
			if !yield(proof, err) || err != nil {
				return
			}
		}
		yield(v.last(ctx))
	}
}

// verification is a run of Verify.
type verification struct {
	*Archive
	state  *state
	store  *ropewalk.Store
	feed   *feed.Feed
	files  map[uint64][]File // by their batch
	chains map[string]chained
	gone   map[string]bool // aggregates that the store or the archive knows to be erased
	batch  *batch
	proof  Proof
}

// chained is the last changeset of an aggregate that was taken.
type chained struct {
	version uint64
	id      ropewalk.ID
	digest  ropewalk.Digest
}

func newVerification(a *Archive, s *state, store *ropewalk.Store) *verification {
	v := &verification{
		Archive: a, state: s, store: store, feed: feed.Open(store, &feed.Options{Logger: a.options.Logger}),
		files: map[uint64][]File{}, chains: map[string]chained{}, gone: map[string]bool{}, batch: newBatch(),
	}
	for id := range s.erased {
		v.gone[id] = true
	}
	for _, f := range s.files() {
		v.files[f.Batch] = append(v.files[f.Batch], f)
	}
	return v
}

// proofs yields a proof for each batch of the archive. It reads the feed once, from
// the start, and divides it where the batches end.
func (v *verification) proofs(ctx context.Context) iter.Seq2[Proof, error] {
	return func(yield func(Proof, error) bool) {
		batches := v.state.batches
		if err := v.findPosition(ctx); err != nil {
			yield(Proof{}, err)
			return
		}
		for change, err := range v.feed.After(ctx, feed.Position{}) {
			if err != nil {
				yield(Proof{}, fmt.Errorf("read the feed: %w", err))
				return
			}
			for len(batches) > 0 && isAfter(change.Position, batches[0].position) {
				if proof, err := v.prove(ctx, batches[0].number); !yield(proof, err) || err != nil {
					return
				}
				batches = batches[1:]
			}
			if len(batches) == 0 {
				return
			}
			v.take(change)
		}
		for _, b := range batches {
			if proof, err := v.prove(ctx, b.number); !yield(proof, err) || err != nil {
				return
			}
		}
	}
}

// findPosition returns the error of an archive that is not of this feed.
func (v *verification) findPosition(ctx context.Context) error {
	for _, err := range v.feed.After(ctx, v.state.position) {
		return err
	}
	return nil
}

// isAfter reports whether a position is after the end of a batch. An erasure in place
// of several changesets has the last of their positions, and may be after the end.
func isAfter(p, end feed.Position) bool {
	order, _ := p.Compare(end)
	return order > 0
}

// take takes a change of the store: its rows are expected in the archive, and its
// digest is the next of the chain.
func (v *verification) take(c feed.Change) {
	v.options.Progress(1)
	v.batch.add(c, v.state)
	if c.Erased {
		v.gone[c.AggregateID] = true
		return
	}
	if err := c.Header.Verify(v.chains[c.AggregateID].digest); err != nil {
		v.find(c.Ref, "", err)
	}
	v.chains[c.AggregateID] = chained{c.Version, c.ID, c.Digest}
}

// find adds a finding about a changeset, or about a file.
func (v *verification) find(ref ropewalk.Ref, file string, problem error) {
	if file != "" {
		file = v.destination.Locate(file)
	}
	v.proof.Findings = append(v.proof.Findings, Finding{ref, file, reasonOf(problem)})
}

// reasonOf returns the reason of a [*ropewalk.CorruptError], without the place.
func reasonOf(err error) string {
	if corrupt, ok := errors.AsType[*ropewalk.CorruptError](err); ok {
		return corrupt.Reason
	}
	return err.Error()
}
