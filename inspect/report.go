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
	holders, err := s.prove(ctx, kept)
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
	for _, ref := range holders {
		if s.objects.at(s.objects.find(ref.Version, ref.ID)).is(committed) {
			r.Kept = ref
		}
	}
	return s.finish(r, kept), nil
}

// prove reads every object and holds it against its parent and the head. It
// returns the changesets that have the kept digest.
func (s *survey) prove(ctx context.Context, kept changeset.Digest) (holders []changeset.Ref, err error) {
	var proofs prover
	for seen, err := range s.sights(ctx, !s.in.headersOnly) {
		if err != nil {
			return nil, err
		}
		s.in.progressed()
		fault := seen.fault
		if seen.readable {
			proof, err := proofs.prove(seen.header, fault == nil)
			if fault == nil {
				fault = s.in.fault(seen.header.Ref, err)
			}
			if seen.header.Ref == s.head.Ref {
				s.add(s.in.fault(changeset.Ref{AggregateID: s.id}, proveHead(s.head, proof)))
			}
			if seen.header.Digest == kept {
				holders = append(holders, seen.header.Ref)
			}
			s.note(seen.place, proof)
		}
		s.add(fault)
	}
	return holders, nil
}

// sights yields what is seen of each object, in order, but of those that are
// gone, and enters it in the table.
func (s *survey) sights(ctx context.Context, contents bool) iter.Seq2[sight, error] {
	places := func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for place := s.objects.from(s.low); place < s.objects.len() && yield(place, nil); place++ {
			}
		}
	}
	look := func(ctx context.Context, place int) (sight, error) {
		seen, err := s.in.look(ctx, changeset.Object{Ref: s.ref(place), Size: s.objects.at(place).size}, contents)
		seen.place = place
		return seen, err
	}
	return func(yield func(sight, error) bool) {
		for seen, err := range parallel.Map(ctx, s.in.parallel, places, look) {
			if err == nil {
				s.objects.fill(seen)
			}
			if (err != nil || !seen.gone) && !yield(seen, err) {
				return
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
	if f := s.head.Formats.Numbers(); f.Written > changeset.Format {
		s.add(s.in.problem(changeset.Ref{AggregateID: s.id}, newerFormat(f)))
	}
}

// count returns the report without its problems.
func (s *survey) count() Report {
	r := Report{AggregateID: s.id, Head: s.head}
	for place := range s.objects.len() {
		if s.objects.at(place).is(gone) {
			continue
		}
		switch s.kind(place) {
		case Committed:
			r.Committed++
			r.Bytes += s.objects.at(place).size
		case Lost:
			r.Lost++
		case Pending:
			r.Pending++
		case Ahead:
			r.Ahead++
		default:
			r.Unknown++
		}
	}
	return r
}

func (s *survey) reportErased(kept changeset.Digest) Report {
	r := Report{AggregateID: s.id, Head: s.head, Lost: s.objects.len()}
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
	return r
}
