package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/transfer"
)

// scripted returns a storage under a script.
func scripted(s both, script *faults.Script) transfer.Storage {
	return transfer.Storage{Changesets: script.Changesets(s), Heads: faults.TwoSteps(script.Heads(s))}
}

// small makes short chains of three forms.
func small(t *testing.T) *memstore.Store {
	s := memstore.New()
	appendTo(t, ropewalk.New(s, s, nil), "plain", "one", "two", "three")
	appendTo(t, ropewalk.New(s, s, nil), "mixed", "one", "two")
	for i := range 6 {
		appendTo(t, tipped(s, 600), "mixed", fmt.Sprint("mixed ", i))
	}
	appendTo(t, tipped(s, 600), "packed", "one", strings.Repeat("x", 700), "two", strings.Repeat("x", 700), "tip")
	return s
}

// requireWhole demands that readers of the destination see the history of the source, all
// of it or the beginning that they saw before.
func requireWhole(t *testing.T, from, to both, id string, before int) {
	t.Helper()
	h, err := to.Load(t.Context(), id)
	require.NoError(t, err)
	if !h.Exists() {
		require.Zero(t, before)
		return
	}
	want, got := history(t, from, id), history(t, to, id)
	require.Contains(t, []int{before, len(want)}, len(got))
	require.Equal(t, want[:len(got)], got)
}

// A copy that fails or dies at any request leaves a whole history, and the next copy
// finishes it: a first copy, and a later one of what is new.
func TestCopyIsKilledAtEveryStep(t *testing.T) {
	kinds := []faults.Kind{faults.Dropped, faults.None, faults.Lost, faults.Late} // None: the process dies there
	for _, at := range []struct {
		side string
		op   faults.Op
	}{
		{"from", faults.Load},
		{"from", faults.Get},
		{"from", faults.GetMany},
		{"from", faults.Stat},
		{"to", faults.Load},
		{"to", faults.Put},
		{"to", faults.Swap},
		{"to", faults.Get},
	} {
		for _, kind := range kinds {
			if at.op != faults.Put && at.op != faults.Swap && kind > faults.Dropped {
				continue // a read has no effect
			}
			t.Run(fmt.Sprint(at.side, " ", at.op, " ", kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for _, id := range []string{"plain", "mixed", "packed"} {
						for call := 1; killed(t, id, at.side, at.op, kind, call); call++ {
							require.Less(t, call, 100)
						}
					}
				})
			})
		}
	}
}

// killed makes one call go wrong, in a first and in a later copy. It reports false if there
// was no such call.
func killed(t *testing.T, id, side string, op faults.Op, kind faults.Kind, call int) bool {
	struck := false
	from, to := small(t), memstore.New()
	for range 2 {
		before := 0
		if h, err := to.Load(t.Context(), id); err == nil && h.Exists() {
			before = len(history(t, to, id))
		}
		scripts := map[string]*faults.Script{"from": {}, "to": {}}
		ctx, cancel := context.WithCancel(t.Context())
		f := faults.Fault{Kind: kind}
		if kind == faults.None {
			f.Before = cancel
		}
		scripts[side].On(op, call, f)
		_, err := transfer.New(scripted(from, scripts["from"]), scripted(to, scripts["to"]), nil).Copy(ctx, id)
		cancel()
		if err == nil {
			requireCopied(t, from, to, id)
		}
		requireWhole(t, from, to, id, before)
		scripts[side].Release()
		requireWhole(t, from, to, id, before)
		_, err = transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		requireCopied(t, from, to, id)
		struck = struck || len(scripts[side].Unused()) == 0
		appendTo(t, tipped(from, 600), id, "new", strings.Repeat("x", 700), "newest")
	}
	return struck
}

// A second run puts only the objects that the first one has not put.
func TestCopyResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memstore.New(), memstore.New()
		for i := range 50 {
			appendTo(t, ropewalk.New(from, from, nil), "a", fmt.Sprint(i))
		}
		var script faults.Script
		script.On(faults.Swap, 1, faults.Fault{Kind: faults.Refused})
		_, err := transfer.New(storage(from), scripted(to, &script), nil).Copy(t.Context(), "a")
		require.Error(t, err)
		require.Equal(t, 50, script.Calls(faults.Put))
		for o, err := range to.Objects(t.Context(), "a") {
			require.NoError(t, err)
			if o.Version >= 30 {
				require.NoError(t, to.Delete(t.Context(), o.Ref))
			}
		}
		script.Reset()
		report, err := transfer.New(storage(from), scripted(to, &script), nil).Copy(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, 20, script.Calls(faults.Put))
		require.Equal(t, int64(20), report.Objects)
		require.Equal(t, int64(50), report.Changesets)
		requireCopied(t, from, to, "a")
	})
}

// A swap whose outcome is unknown is looked up. The objects are not read and put again.
func TestCopyAfterAnUnknownSwap(t *testing.T) {
	for _, kind := range []faults.Kind{faults.Dropped, faults.Lost, faults.Late} {
		synctest.Test(t, func(t *testing.T) {
			from, to := small(t), memstore.New()
			var reads, script faults.Script
			script.On(faults.Swap, 1, faults.Fault{Kind: kind, Before: func() {
				reads.Every(faults.Get, faults.Fault{Kind: faults.Refused})
				reads.Every(faults.GetMany, faults.Fault{Kind: faults.Refused})
			}})
			report, err := transfer.New(scripted(from, &reads), scripted(to, &script), nil).Copy(t.Context(), "packed")
			require.NoError(t, err)
			require.Equal(t, transfer.Copied, report.Outcome)
			script.Release()
			require.Equal(t, int64(script.Calls(faults.Put)), report.Objects)
			requireCopied(t, from, to, "packed")
		})
	}
}

// A source that is appended to while it is copied is copied up to the head that was loaded
// at the start.
func TestCopyOfAGrowingSource(t *testing.T) {
	for _, id := range []string{"plain", "mixed", "packed"} {
		from, to := small(t), memstore.New()
		want := history(t, from, id)
		var script faults.Script
		grow := faults.Fault{Before: func() { appendTo(t, tipped(from, 600), id, "new", strings.Repeat("x", 700), "newest") }}
		script.On(faults.Put, 1, grow)
		report, err := transfer.New(storage(from), scripted(to, &script), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, script.Unused())
		require.Equal(t, transfer.Copied, report.Outcome)
		require.Equal(t, want, history(t, to, id))
		_, err = transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		requireCopied(t, from, to, id)
	}
}

// A source that is erased while it is copied is copied as its tombstone. A collection deletes
// the objects that were put before.
func TestCopyOfASourceThatIsErased(t *testing.T) {
	from, to := small(t), memstore.New()
	erase := func() {
		_, err := gc.New(from, from, nil).Erase(t.Context(), "plain")
		require.NoError(t, err)
	}
	var script faults.Script
	script.On(faults.GetMany, 1, faults.Fault{Before: erase})
	script.On(faults.Get, 1, faults.Fault{Before: erase})
	first := changesetOf(t, from, "plain")
	require.NoError(t, to.Put(t.Context(), first))
	report, err := transfer.New(scripted(from, &script), storage(to), nil).Copy(t.Context(), "plain")
	require.NoError(t, err)
	require.Equal(t, transfer.Copied, report.Outcome)
	h, err := to.Load(t.Context(), "plain")
	require.NoError(t, err)
	require.Equal(t, head.Erased, h.State)
	_, err = gc.New(to, to, &gc.Options{Delete: true}).Collect(t.Context(), "plain")
	require.NoError(t, err)
	for range to.Objects(t.Context(), "plain") {
		require.Fail(t, "an object is left")
	}
}

// changesetOf returns the first changeset of an aggregate as it is stored.
func changesetOf(t *testing.T, s both, id string) changeset.Changeset {
	t.Helper()
	for o, err := range s.Objects(t.Context(), id) {
		require.NoError(t, err)
		c, err := s.Get(t.Context(), o.Ref, nil)
		require.NoError(t, err)
		return c
	}
	panic("no object")
}

// A destination with another history is refused before anything is put, and the other
// aggregates are copied.
func TestCopyRefusesAFork(t *testing.T) {
	for name, prepare := range map[string]func(from, to both){
		"another chain": func(_, to both) { appendTo(t, ropewalk.New(to, to, nil), "mixed", "own") },
		"a longer other chain": func(_, to both) {
			appendTo(t, ropewalk.New(to, to, nil), "mixed", strings.Fields(strings.Repeat("own ", 20))...)
		},
		"a fork behind the source": func(from, to both) {
			copyOne(t, from, to, "mixed")
			appendTo(t, tipped(to, 600), "mixed", "own")
			appendTo(t, tipped(from, 600), "mixed", "new", "new", "new")
		},
		"a fork at its version": func(from, to both) {
			copyOne(t, from, to, "mixed")
			appendTo(t, tipped(to, 600), "mixed", "own")
			appendTo(t, tipped(from, 600), "mixed", "new")
		},
		"a fork before the source": func(from, to both) {
			copyOne(t, from, to, "mixed")
			appendTo(t, tipped(to, 600), "mixed", "own", strings.Repeat("x", 700), "own")
			appendTo(t, tipped(from, 600), "mixed", "new")
		},
	} {
		from, to := small(t), memstore.New()
		prepare(from, to)
		before := history(t, to, "mixed")
		var script faults.Script
		_, err := transfer.New(storage(from), scripted(to, &script), nil).Copy(t.Context(), "mixed")
		require.ErrorIs(t, err, ropewalk.ErrConflict, name)
		require.Zero(t, script.Calls(faults.Put)+script.Calls(faults.Swap), name)
		failed := 0
		for r, err := range transfer.New(storage(from), storage(to), nil).CopyAll(t.Context()) {
			require.NoError(t, err)
			if r.Err != nil {
				failed++
				require.Equal(t, "mixed", r.AggregateID)
				require.Equal(t, transfer.Failed, r.Outcome)
				continue
			}
			requireCopied(t, from, to, r.AggregateID)
		}
		require.Equal(t, 1, failed, name)
		require.Equal(t, before, history(t, to, "mixed"), name)
	}
}

func copyOne(t *testing.T, from, to both, id string) {
	t.Helper()
	_, err := transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
	require.NoError(t, err)
}

// An erasure on one side alone is refused, and one on both sides is equal.
func TestCopyAndErasures(t *testing.T) {
	from, to := small(t), memstore.New()
	copyAll(t, storage(from), storage(to), nil)
	_, err := gc.New(from, from, nil).Erase(t.Context(), "plain")
	require.NoError(t, err)
	_, err = gc.New(to, to, nil).Erase(t.Context(), "mixed")
	require.NoError(t, err)
	c := transfer.New(storage(from), storage(to), nil)
	_, err = c.Copy(t.Context(), "plain")
	require.ErrorIs(t, err, ropewalk.ErrConflict)
	require.NotErrorIs(t, err, ropewalk.ErrErased)
	_, err = c.Copy(t.Context(), "mixed")
	require.ErrorIs(t, err, ropewalk.ErrErased)
	_, err = gc.New(to, to, nil).Erase(t.Context(), "plain")
	require.NoError(t, err)
	report, err := c.Copy(t.Context(), "plain")
	require.NoError(t, err)
	require.Equal(t, transfer.Equal, report.Outcome)
}

// Fences and flushes at the destination raise its revision and change its objects. The
// copy goes on nevertheless, and the next append finds a good head.
func TestCopyAfterFencesAndFlushes(t *testing.T) {
	for _, id := range []string{"plain", "mixed", "packed"} {
		from, to := small(t), memstore.New()
		copyOne(t, from, to, id)
		_, err := gc.New(to, to, nil).Flush(t.Context(), id)
		require.NoError(t, err)
		for range 9 {
			h, err := to.Load(t.Context(), id)
			require.NoError(t, err)
			_, err = to.Swap(t.Context(), h, link.Fence(h))
			require.NoError(t, err)
		}
		report, err := transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, transfer.Equal, report.Outcome)
		_, err = gc.New(from, from, nil).Flush(t.Context(), id) // into another object
		require.NoError(t, err)
		appendTo(t, tipped(from, 600), id, "new")
		copyOne(t, from, to, id)
		requireCopied(t, from, to, id)
		appendTo(t, tipped(to, 600), id, "own", strings.Repeat("x", 700))
		verified, err := inspect.New(to, to, nil).Verify(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, verified.Problems)
	}
}

// A collector that fences the destination between the puts and the swap, and deletes what
// was put, does not break the copy: the objects are put again.
func TestCopyIsFencedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, id := range []string{"plain", "mixed", "packed"} {
			from, to := small(t), memstore.New()
			copyOne(t, from, to, id)
			appendTo(t, tipped(from, 600), id, strings.Repeat("x", 700), strings.Repeat("y", 700))
			var script faults.Script
			script.On(faults.Swap, 1, faults.Fault{Before: func() {
				_, err := gc.New(to, to, &gc.Options{Delete: true, Grace: -1}).Collect(t.Context(), id)
				require.NoError(t, err)
			}})
			_, err := transfer.New(storage(from), scripted(to, &script), nil).Copy(t.Context(), id)
			require.NoError(t, err)
			require.Empty(t, script.Unused())
			requireCopied(t, from, to, id)
		}
	})
}

// An object of the destination that differs from the source's ends the copy before the
// head is swapped.
func TestCopyFindsAnotherObject(t *testing.T) {
	from, to := small(t), memstore.New()
	c := changesetOf(t, from, "plain")
	c.Body, c.BodySize = []byte("another"), 7
	require.NoError(t, to.Put(t.Context(), c))
	_, err := transfer.New(storage(from), storage(to), nil).Copy(t.Context(), "plain")
	corrupt, ok := errors.AsType[*changeset.CorruptError](err)
	require.True(t, ok, err)
	require.Equal(t, c.Ref, corrupt.Ref)
	require.Contains(t, corrupt.Reason, "at the destination it has 7 bytes")
	h, err := to.Load(t.Context(), "plain")
	require.NoError(t, err)
	require.False(t, h.Exists())
}

// damaged is a store whose bodies of one aggregate are not what was put.
type damaged struct{ changeset.PassThrough }

func (d damaged) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := d.PassThrough.Get(ctx, ref, admission)
	return spoil(c), err
}

func (d damaged) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	all, err := d.PassThrough.GetMany(ctx, refs, admission)
	for i := range all {
		all[i] = spoil(all[i])
	}
	return all, err
}

func spoil(c changeset.Changeset) changeset.Changeset {
	if c.Version == 1 || c.IsPacked() && len(c.Body) > 0 {
		c.Body = slices.Clone(c.Body)
		c.Body[len(c.Body)/2] ^= 1
	}
	return c
}

// An object that does not hold against its hash is not put, nor is anything after it, and
// the head stays.
func TestCopyOfADamagedSource(t *testing.T) {
	for _, id := range []string{"plain", "mixed", "packed"} {
		from, to := small(t), memstore.New()
		source := transfer.Storage{Changesets: damaged{changeset.NewPassThrough(from)}, Heads: from}
		_, err := transfer.New(source, storage(to), nil).Copy(t.Context(), id)
		_, ok := errors.AsType[*changeset.CorruptError](err)
		require.True(t, ok, err)
		for o, err := range to.Objects(t.Context(), id) {
			require.NoError(t, err)
			require.Zero(t, o.Version, id)
		}
		h, err := to.Load(t.Context(), id)
		require.NoError(t, err)
		require.False(t, h.Exists())
	}
}

// A head with fields of a later version is refused: their meaning, and their form in the
// other storage, are unknown.
func TestCopyOfALaterVersion(t *testing.T) {
	from := small(t)
	h, err := from.Load(t.Context(), "plain")
	require.NoError(t, err)
	_, err = from.Swap(t.Context(), h, link.Fence(h).WithExtra(`{"later":1}`))
	require.NoError(t, err)
	_, err = transfer.New(storage(from), storage(memstore.New()), nil).Copy(t.Context(), "plain")
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}
