package inspect

import (
	"context"
	"iter"

	"ropewalk/changeset"
)

// The limits of a batch, in objects and in bytes. A batch is in memory at once.
const (
	maxBatch      = 64
	maxBatchBytes = 1 << 20
)

// batches yields the places of the objects that are looked at, in order: several at a
// time if one request reads them, otherwise one by one.
func (s *survey) batches(d depth) func(context.Context) iter.Seq2[[]int, error] {
	most := 1
	if d == everything && s.in.many != nil {
		most = maxBatch
	}
	if s.scanned != nil {
		most = maxScanned
	}
	return func(context.Context) iter.Seq2[[]int, error] {
		return func(yield func([]int, error) bool) {
			var batch []int
			var bytes int64
			for place := range s.objects.from(s.low) {
				size := s.objects.at(place).size
				if len(batch) == most || len(batch) > 0 && bytes+size > maxBatchBytes {
					if !yield(batch, nil) {
						return
					}
					batch, bytes = nil, 0
				}
				batch, bytes = append(batch, place), bytes+size
			}
			if len(batch) > 0 {
				yield(batch, nil)
			}
		}
	}
}

// lookAt reads the objects of a batch. An object that the request for all of them leaves
// out is read alone: the error says why.
func (s *survey) lookAt(ctx context.Context, places []int, d depth) (all []sight, err error) {
	all = make([]sight, len(places))
	var found []bool
	if len(places) > 1 || s.scanned != nil {
		if found, err = s.lookAtOnce(ctx, places, all); err != nil {
			return nil, err
		}
	}
	for i, place := range places {
		if found == nil || !found[i] {
			if all[i], err = s.in.look(ctx, s.object(place), d, s.opener(place)); err != nil {
				return nil, err
			}
		}
		all[i].place = place
	}
	return all, nil
}

// lookAtOnce reads objects by one request. It reports which of them it has read.
func (s *survey) lookAtOnce(ctx context.Context, places []int, all []sight) (found []bool, err error) {
	refs, at, weight := make([]changeset.Ref, len(places)), map[changeset.Ref]int{}, int64(0)
	for i, place := range places {
		all[i] = sight{object: s.object(place)}
		refs[i] = all[i].object.Ref
		at[refs[i]] = i
		weight += max(all[i].object.Size, 0)
	}
	objects, done, err := s.getMany(ctx, refs, weight)
	if err != nil {
		return nil, err
	}
	defer done()
	found = make([]bool, len(places))
	for _, c := range objects {
		i, wanted := at[c.Ref]
		if !wanted || found[i] {
			continue
		}
		found[i] = true
		err := s.in.readWhole(ctx, &all[i], c, nil, s.opener(places[i]))
		if all[i], err = s.in.judge(all[i], err); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// getMany returns the objects that were scanned, or reads objects by one request.
func (s *survey) getMany(ctx context.Context, refs []changeset.Ref, size int64) ([]changeset.Changeset, func(), error) {
	if s.scanned != nil {
		return s.scanned, func() {}, nil
	}
	return s.in.getMany(ctx, refs, size)
}

// getMany reads objects of a total size by one request. If it fails, it returns none:
// they are read one by one, and that may succeed. When the objects are dealt with, done
// must be called.
func (in *Inspector) getMany(ctx context.Context, refs []changeset.Ref, size int64) (all []changeset.Changeset, done func(), err error) {
	release, err := in.request(ctx)
	if err != nil {
		return nil, nil, err
	}
	weight := min(size, in.maxBytes)
	if err := in.bytes.Acquire(ctx, weight); err != nil {
		release()
		return nil, nil, err
	}
	done = func() {
		in.bytes.Release(weight)
		release()
	}
	all, _ = in.many.GetMany(ctx, refs, func(h changeset.Header) error {
		if in.tooLarge(h) != nil {
			return errRefused
		}
		return nil
	})
	return all, done, nil
}

func (s *survey) object(place int) changeset.Object {
	return changeset.Object{Ref: s.ref(place), Size: s.objects.at(place).size}
}

func (s *survey) opener(place int) opener {
	return func(all []changeset.Changeset, text []byte) *contents { return s.open(place, all, text) }
}
