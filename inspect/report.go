package inspect

import (
	"context"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/parallel"
)

// verify reads all objects, finds out which are committed, and reports.
func (s *survey) verify(ctx context.Context, kept changeset.Digest) (Report, error) {
	if s.headFault != nil {
		s.problems = append(s.problems, *s.headFault)
	}
	if s.head.State == head.Erased {
		return s.reportErased(kept), nil
	}
	s.kept = kept
	holders, err := s.prove(ctx, s.depth())
	if err != nil {
		return Report{}, err
	}
	if s.head.Exists() {
		if err := s.walk(ctx); err != nil {
			return Report{}, err
		}
		s.checkFormats()
	}
	if s.missHead(); s.headGone {
		s.add(s.in.problem(changeset.Ref{AggregateID: s.id}, "it is missing"))
	}
	r := s.count()
	for place, ref := range holders {
		if s.objects.at(place).is(committed) {
			r.Kept = ref
		}
	}
	for _, c := range s.tip {
		if c.Digest == kept {
			r.Kept = c.Ref
		}
	}
	return s.finish(r, kept), nil
}

// depth says how much of each object is read. A digest that was kept may be the digest
// of any changeset in a pack.
func (s *survey) depth() depth {
	switch {
	case !s.in.headersOnly:
		return everything
	case s.kept.IsZero() && s.tips == nil:
		return headers
	default:
		return lines
	}
}

// prove reads every object and holds it against the object before it and the head. It
// returns the objects that have the kept digest, with the changesets that have it.
func (s *survey) prove(ctx context.Context, d depth) (holders map[int]changeset.Ref, err error) {
	var proofs prover
	holders = map[int]changeset.Ref{}
	newest, _ := newestObject(s.head)
	for seen, err := range s.sights(ctx, d) {
		if err != nil {
			return nil, err
		}
		for range s.objects.at(seen.place).changesets() {
			s.in.progressed()
		}
		fault := seen.fault
		if seen.readable {
			proof, err := proofs.prove(seen)
			if fault == nil {
				fault = s.in.fault(seen.header.Ref, err)
			}
			if proof.liar != nil {
				s.add(s.in.fault(proof.liar.Ref, proof.liar))
			}
			if seen.header.Ref == newest {
				s.add(s.in.fault(changeset.Ref{AggregateID: s.id}, proveHead(s.head, proof)))
			}
			if holder, ok := seen.holder(s.kept); ok {
				holders[seen.place] = holder
			}
			s.note(seen, proof)
			if seen.contents != nil {
				s.marked = append(s.marked, seen.contents.parts...)
			}
		}
		s.add(fault)
	}
	return holders, nil
}

// holder returns the changeset in the object that has the kept digest.
func (seen sight) holder(kept changeset.Digest) (changeset.Ref, bool) {
	switch {
	case kept.IsZero():
		return changeset.Ref{}, false
	case seen.contents != nil:
		return seen.contents.holder, !seen.contents.holder.ID.IsZero()
	default:
		return seen.header.Ref, seen.header.Digest == kept
	}
}

// sights yields what is seen of each object, in order, except objects that are
// gone, and enters it in the table.
func (s *survey) sights(ctx context.Context, d depth) iter.Seq2[sight, error] {
	look := func(ctx context.Context, places []int) ([]sight, error) { return s.lookAt(ctx, places, d) }
	return func(yield func(sight, error) bool) {
		for all, err := range parallel.Map(ctx, s.in.parallel, s.batches(d), look) {
			if err != nil {
				yield(sight{}, err)
				return
			}
			for _, seen := range all {
				s.objects.fill(seen)
				if !seen.gone && !yield(seen, nil) {
					return
				}
			}
		}
	}
}

func (s *survey) add(fault *Problem) {
	if fault != nil {
		s.problems = append(s.problems, *fault)
	}
}

// checkFormats reports a head that a newer version wrote, even where this one
// may read it: there may be more to it than was checked.
func (s *survey) checkFormats() {
	if f := s.head.Formats.Numbers(); f.Written > s.head.KnownFormat() {
		s.add(s.in.problem(changeset.Ref{AggregateID: s.id}, newerFormat(f)))
	}
}

// count returns the report without its problems.
func (s *survey) count() Report {
	r := Report{AggregateID: s.id, Head: s.head, Committed: len(s.tip), InHead: len(s.tip)}
	for _, c := range s.tip {
		r.Bytes += c.BodySize
	}
	chain := s.overlapped()
	for place := range s.objects.len() {
		o := s.objects.at(place)
		if o.is(gone) {
			continue
		}
		r.unread = r.unread || o.is(readable) && o.count > 0 && !o.is(opened)
		n := o.changesets() - s.copies(place, chain)
		switch s.kind(place) {
		case Committed:
			r.Committed += o.changesets()
			r.Bytes += o.size
		case Lost:
			r.Lost += n
		case Pending:
			r.Pending += n
		case Ahead:
			r.Ahead += n
		default:
			r.Unknown += n
		}
	}
	return r
}

// overlapped returns the changesets of the chain, by version, that an orphan may have
// copies of.
func (s *survey) overlapped() map[uint64]changeset.ID {
	chain := map[uint64]changeset.ID{}
	for place, ids := range s.objects.ids {
		if r := s.objects.at(place); r.is(committed) {
			for i, id := range ids {
				chain[r.first()+uint64(i)] = id
			}
		}
	}
	for _, c := range s.tip {
		chain[c.Version] = c.ID
	}
	return chain
}

// copies returns how many changesets of an object outside the chain the chain has as
// well: a tip is put with each append that does not fit into it, whether the append
// is committed or not.
func (s *survey) copies(place int, chain map[uint64]changeset.ID) (n int) {
	first := s.objects.at(place).first()
	for i, id := range s.objects.ids[place] {
		if chain[first+uint64(i)] == id {
			n++
		}
	}
	return n
}

func (s *survey) reportErased(kept changeset.Digest) Report {
	r := Report{AggregateID: s.id, Head: s.head}
	for place := range s.objects.len() {
		r.Lost += s.objects.at(place).changesets()
	}
	s.checkFormats()
	if kept == s.head.Digest {
		r.Kept = s.head.Ref
	}
	return s.finish(r, kept)
}

func (s *survey) finish(r Report, kept changeset.Digest) Report {
	if !kept.IsZero() && r.Kept == (changeset.Ref{}) {
		s.add(s.in.problem(changeset.Ref{AggregateID: s.id}, "no changeset of its chain has the digest "+kept.String()))
	}
	r.Problems = s.problems
	r.inChain, r.outside = s.parts()
	return r
}
