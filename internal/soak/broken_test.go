package soak_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/soak"
)

// heads hides that memory can put and swap in one step, and breaks one method.
type heads struct {
	head.Store
	load func(context.Context, string) (head.Head, error)
	swap func(ctx context.Context, old, next head.Head) (head.Head, error)
}

func (s heads) Load(ctx context.Context, id string) (head.Head, error) {
	if s.load == nil {
		return s.Store.Load(ctx, id)
	}
	return s.load(ctx, id)
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if s.swap == nil {
		return s.Store.Swap(ctx, old, next)
	}
	return s.swap(ctx, old, next)
}

// forgetful changesets vanish a while after they were put, one in twenty.
type forgetful struct {
	*memstore.Store
	puts *atomic.Int64
}

func (s forgetful) Put(ctx context.Context, c changeset.Changeset) error {
	if s.puts.Add(1)%20 == 0 {
		return nil
	}
	return s.Store.Put(ctx, c)
}

// A storage that breaks the contracts of the interfaces is found out.
func TestBrokenStoragesAreFound(t *testing.T) {
	for name, broken := range map[string]func(*memstore.Store) soak.Place{
		"the last writer wins": func(db *memstore.Store) soak.Place {
			return soak.Place{Changesets: db, Heads: heads{Store: db, swap: func(ctx context.Context, old, next head.Head) (head.Head, error) {
				record, err := head.EncodeJSON(next)
				db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(next.AggregateID)] = record })
				return next, err
			}}}
		},
		"heads are read stale": func(db *memstore.Store) soak.Place {
			var mu sync.Mutex
			before, loads := map[string]head.Head{}, map[string]int{}
			return soak.Place{Changesets: db, Heads: heads{Store: db, load: func(ctx context.Context, id string) (head.Head, error) {
				now, err := db.Load(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				if loads[id]++; loads[id]%10 == 0 && before[id].Exists() {
					return before[id], err
				}
				before[id] = now
				return now, err
			}}}
		},
		"an unknown outcome passes for a refusal": func(db *memstore.Store) soak.Place {
			var swaps atomic.Int64
			return soak.Place{Changesets: db, Heads: heads{Store: db, swap: func(ctx context.Context, old, next head.Head) (head.Head, error) {
				got, err := db.Swap(ctx, old, next)
				if swaps.Add(1)%5 == 0 {
					return head.Head{}, &head.NotAppliedError{Err: errors.New("no reply")}
				}
				return got, err
			}}}
		},
		"puts are forgotten": func(db *memstore.Store) soak.Place {
			return soak.Place{Changesets: forgetful{db, new(atomic.Int64)}, Heads: heads{Store: db}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			figures := soak.Figures{}
			for first := uint64(1); first <= 30 && figures.Violations <= 2; first += 5 {
				var histories []*soak.History
				for _, seed := range seeds(first, 5) {
					synctest.Test(t, func(t *testing.T) {
						place := broken(memstore.New())
						place.Unit = time.Second
						histories = append(histories, soak.Run(t.Context(), place, []uint64{seed})...)
					})
				}
				soak.Check(histories, patience)
				figures.Add(histories...)
			}
			t.Logf("%d of %d histories", figures.Violations, figures.Histories)
			require.Greater(t, figures.Violations, 2)
		})
	}
}
