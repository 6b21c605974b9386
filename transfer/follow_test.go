package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/transfer"
)

// plainHeads are heads without a log, as in a cloud.
type plainHeads struct{ head.Store }

// sources are the ways in which a source says what has changed.
var sources = []string{"log", "feed", "listing"}

// pursuit is a source that writers append to, and a copy that follows.
type pursuit struct {
	t        *testing.T
	from, to *memstore.Store
	source   transfer.Storage
	here     faults.Script // of the copy at the source
	there    faults.Script // at the destination
	options  transfer.Options
	writers  sync.WaitGroup
	caughtUp chan struct{} // gets a value when the copy has caught up
}

func newPursuit(t *testing.T, source string) *pursuit {
	f := &pursuit{t: t, from: memstore.New(), to: memstore.New(), caughtUp: make(chan struct{})}
	f.source = scripted(f.from, &f.here)
	if source == "log" {
		return f
	}
	f.source.Heads = f.here.Heads(plainHeads{f.from})
	if source == "feed" {
		s := ropewalk.New(f.from, plainHeads{f.from}, nil)
		_, err := feed.Open(s, nil).Relay(nil).Once(t.Context())
		require.NoError(t, err)
		f.writers.Go(func() { _ = feed.Open(s, nil).Relay(&feed.RelayOptions{ListEvery: time.Second}).Run(t.Context()) })
	}
	return f
}

// write appends to some aggregates for a while, in both formats.
func (f *pursuit) write(writer int, n int) {
	f.writers.Go(func() {
		r := rand.New(rand.NewPCG(1, uint64(writer)))
		for i := range n {
			s := ropewalk.New(f.from, f.from, nil)
			id := fmt.Sprint("plain-", r.IntN(4))
			if writer%2 == 1 {
				s, id = tipped(f.from, 600), fmt.Sprint("packed-", r.IntN(4))
			}
			appendTo(f.t, s, id, strings.Repeat("x", r.IntN(300))+fmt.Sprint(writer, i))
			time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		}
	})
}

// run follows until the context ends.
func (f *pursuit) run(ctx context.Context) error {
	for step, err := range transfer.New(f.source, scripted(f.to, &f.there), &f.options).Follow(ctx) {
		if err != nil {
			return err
		}
		require.NoError(f.t, step.Err)
		if step.CaughtUp {
			select {
			case f.caughtUp <- struct{}{}:
			default:
			}
		}
	}
	return errors.New("it has ended")
}

// requireEqual waits until the destination has everything.
func (f *pursuit) requireEqual() {
	f.t.Helper()
	for h, err := range f.from.List(f.t.Context(), "") {
		require.NoError(f.t, err)
		if h.Exists() && !strings.HasPrefix(h.AggregateID, "$") {
			requireCopied(f.t, f.from, f.to, h.AggregateID)
		}
	}
}

// following returns the next call that is to fail: not each, since there are many.
func following(call int) int {
	if testing.Short() {
		return 5*call + 1
	}
	return call*3/2 + 1
}

// A copy follows what writers append, whatever says what has changed.
func TestFollow(t *testing.T) {
	for _, source := range sources {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				f := newPursuit(t, source)
				for writer := range 4 {
					f.write(writer, 30)
				}
				done := make(chan error)
				go func() { done <- f.run(ctx) }()
				time.Sleep(2 * time.Minute)
				f.requireEqual()
				cancel()
				require.ErrorIs(t, <-done, context.Canceled)
			})
		})
	}
}

// Each request of a copy that follows fails once, or has an unknown outcome. The copy goes
// on, or dies and is begun again, and ends with everything.
func TestFollowThroughFaults(t *testing.T) {
	ops := map[string][]faults.Op{"here": {faults.Load, faults.Get, faults.GetMany, faults.Entries}, "there": {faults.Load, faults.Put, faults.Swap}}
	for _, source := range sources {
		for side, all := range ops {
			for _, op := range all {
				for _, kind := range []faults.Kind{faults.Dropped, faults.None, faults.Lost, faults.Late} {
					if kind > faults.Dropped && op != faults.Put && op != faults.Swap {
						continue
					}
					t.Run(fmt.Sprint(source, " ", side, " ", op, " ", kind), func(t *testing.T) {
						for call := 1; ; call = following(call) {
							met := false
							synctest.Test(t, func(t *testing.T) { met = followThrough(t, source, side, op, kind, call) })
							if !met {
								break
							}
						}
					})
				}
			}
		}
	}
}

// followThrough reports whether the request was made.
func followThrough(t *testing.T, source, side string, op faults.Op, kind faults.Kind, call int) bool {
	f := newPursuit(t, source)
	script := map[string]*faults.Script{"here": &f.here, "there": &f.there}[side]
	ctx, cancel := context.WithCancel(t.Context())
	fault := faults.Fault{Kind: kind}
	if kind == faults.None {
		fault.Before = cancel // it dies there
	}
	script.On(op, call, fault)
	for writer := range 2 {
		f.write(writer, 5)
	}
	died := make(chan struct{})
	go func() {
		defer close(died)
		for t.Context().Err() == nil {
			_ = f.run(ctx)
			ctx = t.Context()
		}
	}()
	time.Sleep(time.Minute)
	script.Release()
	f.requireEqual()
	cancel()
	return len(script.Unused()) == 0
}

// What is appended while the first pass is under way, to an aggregate that has had its turn,
// is copied too.
func TestFollowFromBeforeTheFirstPass(t *testing.T) {
	for _, source := range sources {
		synctest.Test(t, func(t *testing.T) {
			f := newPursuit(t, source)
			appendTo(t, ropewalk.New(f.from, f.from, nil), "a", "one")
			f.there.On(faults.Swap, 1, faults.Fault{Before: func() {
				appendTo(t, ropewalk.New(f.from, f.from, nil), "a", "two")
				time.Sleep(time.Minute) // the feed has it
			}})
			go func() { _ = f.run(t.Context()) }()
			time.Sleep(3 * time.Minute)
			f.requireEqual()
		})
	}
}

// A failure of the storage is reported, and tried again until it ends.
func TestFollowTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newPursuit(t, "log")
		var retries int
		var mu sync.Mutex
		f.options.Retry = func(id string, err error) {
			mu.Lock()
			defer mu.Unlock()
			retries++
			require.Equal(t, "a", id)
		}
		f.there.Every(faults.Load, faults.Fault{Kind: faults.Refused})
		appendTo(t, ropewalk.New(f.from, f.from, nil), "a", "one")
		go func() { _ = f.run(t.Context()) }()
		time.Sleep(10 * time.Minute)
		mu.Lock()
		require.Greater(t, retries, 20)
		mu.Unlock()
		f.there.Reset()
		time.Sleep(time.Minute)
		f.requireEqual()
	})
}

// An aggregate that is refused is reported after each of its changes, and does not hold up
// the others. Void heads are left out, and tombstones come.
func TestFollowGoesOn(t *testing.T) {
	for _, source := range sources {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := newPursuit(t, source)
				s := ropewalk.New(f.from, f.from, nil)
				appendTo(t, s, "forked", "one")
				appendTo(t, ropewalk.New(f.to, f.to, nil), "forked", "its own")
				_, err := f.from.Swap(ctx, head.Head{}, link.Void("void"))
				require.NoError(t, err)
				refusals := 0
				go func() {
					for step, err := range transfer.New(f.source, storage(f.to), nil).Follow(ctx) {
						if err == nil && step.Err != nil {
							require.Equal(t, "forked", step.AggregateID)
							require.ErrorIs(t, step.Err, ropewalk.ErrConflict)
							refusals++
						}
						require.NotEqual(t, "void", step.AggregateID)
						require.LessOrEqual(t, step.Lag, 15*time.Second)
					}
				}()
				time.Sleep(time.Minute)
				appendTo(t, s, "forked", "two")
				appendTo(t, s, "good", "one")
				appendTo(t, s, "gone", "one")
				time.Sleep(time.Minute)
				requireCopied(t, f.from, f.to, "good")
				require.Contains(t, []int{2, 3}, refusals, "a feed may report it again")
				require.Len(t, history(t, f.to, "gone"), 1)
			})
		})
	}
}

// What is erased before it was copied is a tombstone, and no void head is a failure.
func TestCopyLeavesVoidHeadsOut(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	appendTo(t, ropewalk.New(from, from, nil), "gone", "one")
	_, err := gc.New(from, from, nil).Erase(t.Context(), "gone")
	require.NoError(t, err)
	_, err = from.Swap(t.Context(), head.Head{}, link.Void("void"))
	require.NoError(t, err)
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 1}, copyAll(t, storage(from), storage(to), nil))
}
