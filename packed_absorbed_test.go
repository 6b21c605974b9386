package ropewalk_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// spread returns a chain with 5 changesets of format 1, 12 objects of two changesets
// each, and a tip.
func spread(t *testing.T) *built {
	b := newBuilt(t)
	b.append(link.Layout{}, make([]changeset.Draft, 5)...)
	for range 12 {
		b.append(link.Layout{Packed: true}, make([]changeset.Draft, 2)...)
	}
	b.append(link.Layout{Tip: 1000}, make([]changeset.Draft, 2)...)
	b.save()
	require.Len(t, b.objects, 5+12)
	b.objects = b.objects[5:]
	return b
}

// whileAbsorbing are all ways to read the chain of spread, and what they yield. The
// reader is pinned at version 25, in the middle of an object.
func whileAbsorbing(b *built) map[string]func(context.Context, *ropewalk.Reader) error {
	part := b.want[7:22]
	return map[string]func(context.Context, *ropewalk.Reader) error{
		"all": func(ctx context.Context, r *ropewalk.Reader) error { return compare(b.want[:26], r.All(ctx)) },
		"backward": func(ctx context.Context, r *ropewalk.Reader) error {
			return compare(backwards(b.want[:26]), r.Backward(ctx))
		},
		"range": func(ctx context.Context, r *ropewalk.Reader) error {
			return compare(part, r.Changesets(ctx, ropewalk.Range{First: 7, Last: 21}))
		},
		"range backward": func(ctx context.Context, r *ropewalk.Reader) error {
			return compare(backwards(part), r.Changesets(ctx, ropewalk.Range{First: 7, Last: 21, Backward: true}))
		},
		"since": func(ctx context.Context, r *ropewalk.Reader) error {
			return compare(b.want[9:26], r.Since(ctx, head.At(b.want[8].Header)))
		},
		"at": func(ctx context.Context, r *ropewalk.Reader) error {
			c, err := r.At(ctx, 8)
			return compare(b.want[8:9], func(yield func(changeset.Changeset, error) bool) { yield(c, err) })
		},
	}
}

// compare returns the error that ends a sequence, or one if it yields anything else
// than is wanted.
func compare(want []changeset.Changeset, seq func(func(changeset.Changeset, error) bool)) error {
	n := 0
	for c, err := range seq {
		if err != nil {
			return err
		}
		if n == len(want) || c.Ref != want[n].Ref || c.Digest != want[n].Digest || string(c.Content) != string(want[n].Content) {
			return fmt.Errorf("number %d is %s", n, c.Ref)
		}
		n++
	}
	if n < len(want) {
		return fmt.Errorf("only %d of %d", n, len(want))
	}
	return nil
}

// A reader goes on where objects that it has yet to read are replaced by others, at
// every step.
func TestReadingWhileObjectsAreAbsorbed(t *testing.T) {
	reloads := 0
	for name := range whileAbsorbing(spread(t)) {
		for _, unplaced := range []bool{false, true} {
			for step := 1; step <= 17; step++ {
				for _, times := range []int{1, 2} {
					t.Run(fmt.Sprint(name, " unplaced ", unplaced, " step ", step, " times ", times), func(t *testing.T) {
						reloads += readWhileAbsorbing(t, name, unplaced, step, times)
					})
				}
			}
		}
	}
	require.Greater(t, reloads, 100)
}

func readWhileAbsorbing(t *testing.T, name string, unplaced bool, step, times int) (reloads int) {
	b := spread(t)
	at := head.At(b.want[25].Header)
	if !unplaced {
		place, err := link.Locate(t.Context(), b.db, b.head, 25)
		require.NoError(t, err)
		at = place.At
	}
	b.t = panics{} // where a goroutine of the reader runs it
	var script faults.Script
	var mu sync.Mutex
	for n := range times {
		for _, op := range []faults.Op{faults.Get, faults.Stat} {
			script.On(op, step+n, faults.Fault{Before: func() {
				mu.Lock()
				defer mu.Unlock()
				if len(b.objects) > 2 {
					b.absorb(step % (len(b.objects) - 1))
				}
			}})
		}
	}
	store := ropewalk.New(script.Changesets(b.db), script.Heads(b.db), &ropewalk.Options{WindowCount: 2})
	require.NoError(t, whileAbsorbing(b)[name](t.Context(), store.Chain("order-1").ReaderAt(at)))
	return script.Calls(faults.Load)
}

// panics is a test whose failure ends the process, as it can on any goroutine.
type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) FailNow()                          { panic("failed") }
