package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/inspect"
)

// atOnce is a storage that reads many changesets by one request.
type atOnce struct{ *bench }

func (s atOnce) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, err error) {
	for _, ref := range slices.Backward(refs) {
		if c, err := s.Get(ctx, ref, admission); err == nil {
			all = append(all, c)
		}
	}
	return all, nil
}

// counted counts requests, and may answer a request for many in another way.
type counted struct {
	*bench
	gets, manies atomic.Int64
	answer       func(all []changeset.Changeset) ([]changeset.Changeset, error)
}

func (s *counted) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	s.gets.Add(1)
	return s.bench.Get(ctx, ref, admission)
}

func (s *counted) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	s.manies.Add(1)
	all, err := atOnce{s.bench}.GetMany(ctx, refs, admission)
	if s.answer != nil {
		return s.answer(all)
	}
	return all, err
}

func TestVerifyReadsManyObjectsByOneRequest(t *testing.T) {
	b := newBench(t, order)
	for i := range 150 {
		b.append(draft(fmt.Sprint(i)))
	}
	for i := range 5 {
		b.append(changeset.Draft{Content: make([]byte, 600_000+i)})
	}
	s := &counted{bench: b}
	r, err := inspect.New(s, b, nil).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, 155, r.Committed)
	require.Equal(t, []int64{4, 3}, []int64{s.gets.Load(), s.manies.Load()}, "64, 64, and 22 with the first large content; the other ones are too large to share a batch")
}

// TestVerifyOfManyWithOddReplies: whatever a request for many leaves out, adds or repeats,
// the report is the report of objects that are read one by one.
func TestVerifyOfManyWithOddReplies(t *testing.T) {
	b := newBench(t, order)
	for i := range 20 {
		b.append(draft(fmt.Sprint(i)))
	}
	want := b.verify()
	require.Empty(t, want.Problems)
	for name, answer := range map[string]func([]changeset.Changeset) ([]changeset.Changeset, error){
		"it fails":              func([]changeset.Changeset) ([]changeset.Changeset, error) { return nil, errors.New("failed") },
		"it leaves all out":     func([]changeset.Changeset) ([]changeset.Changeset, error) { return nil, nil },
		"it leaves some out":    func(all []changeset.Changeset) ([]changeset.Changeset, error) { return all[3:9], nil },
		"it repeats changesets": func(all []changeset.Changeset) ([]changeset.Changeset, error) { return append(all, all...), nil },
		"it returns others": func(all []changeset.Changeset) ([]changeset.Changeset, error) {
			other := all[3]
			other.ID = changeset.NewID()
			return append([]changeset.Changeset{other}, all...), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &counted{bench: b, answer: answer}
			r, err := inspect.New(s, b, nil).Verify(t.Context(), b.id)
			require.NoError(t, err)
			require.Equal(t, want, r)
		})
	}
}

// TestVerifyOfManyBoundsContents: content that is too large is a fault, read at once or
// alone.
func TestVerifyOfManyBoundsContents(t *testing.T) {
	b := newBench(t, order)
	for i := range 4 {
		b.append(changeset.Draft{Content: make([]byte, 100*i)})
	}
	options := &inspect.Options{MaxContentSize: 250}
	want, err := inspect.New(b, b, options).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Len(t, want.Problems, 1)
	got, err := inspect.New(atOnce{b}, b, options).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
