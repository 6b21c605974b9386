package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// reported is the outcome that the caller of an append received.
type reported struct {
	contents []string
	headers  []changeset.Header
	err      error
}

func (o reported) uncertain() *ropewalk.UncertainError {
	var uncertain *ropewalk.UncertainError
	errors.As(o.err, &uncertain)
	return uncertain
}

// ledger compares the outcomes that callers received with the chain.
type ledger struct {
	mu   sync.Mutex
	all  []reported
	made int
}

// call appends n changesets of their own contents, and keeps the outcome.
func (l *ledger) call(ctx context.Context, a *ropewalk.Appender, n int, command string) reported {
	l.mu.Lock()
	l.made++
	o := reported{}
	drafts := make([]changeset.Draft, n)
	for i := range drafts {
		o.contents = append(o.contents, fmt.Sprintf("%d.%d", l.made, i))
		drafts[i] = changeset.Draft{Content: []byte(o.contents[i]), CommandID: command}
	}
	l.mu.Unlock()
	o.headers, o.err = a.Append(ctx, drafts...)
	for i := range drafts {
		clear(drafts[i].Content) // the caller's again, however late a request arrives
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, o)
	return o
}

// requireTrue requires that what is acknowledged is in the chain exactly once,
// where it is said to be, and what is refused is not; and, when settled, that
// uncertain appends are all in it or not at all.
func (l *ledger) requireTrue(t require.TestingT, stored []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[string]int{}
	for v, content := range stored {
		require.NotContains(t, at, content, "twice in the chain")
		at[content] = v
	}
	for _, o := range l.all {
		present := 0
		for i, content := range o.contents {
			v, ok := at[content]
			if !ok {
				continue
			}
			present++
			if o.err == nil || o.uncertain() != nil {
				require.EqualValues(t, v, o.headers[i].Version)
			}
		}
		switch {
		case o.err == nil:
			require.Equal(t, len(o.contents), present, "told committed, is not")
		case o.uncertain() != nil:
			require.Contains(t, []int{0, len(o.contents)}, present, "all or none")
		default:
			require.Zero(t, present, "told %v, but is in the chain", o.err)
		}
	}
}

// settle ends all that is uncertain, and requires that the answers are true.
func (l *ledger) settle(t *testing.T, s chaintest.Storage) {
	for _, o := range l.all {
		uncertain := o.uncertain()
		if uncertain == nil {
			continue
		}
		_, err := s.Direct().Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
		stored := s.Contents(t)
		switch {
		case err == nil:
			require.Contains(t, stored, o.contents[0])
		case len(stored) == 0:
			require.ErrorAs(t, err, new(*ropewalk.UncertainError), "there is no head to fence")
		default:
			require.True(t, chaintest.IsConflict(err), "settle: %v", err)
			require.NotContains(t, stored, o.contents[0])
		}
	}
}

// hotWorld is a chain of three changesets. Requests to it take a while and go
// wrong by script.
func hotWorld(t *testing.T, script *faults.Script, twoSteps bool, existing int) (chaintest.Storage, *ropewalk.Appender) {
	return hotIn(t, inMemory(), script, twoSteps, existing)
}

func hotIn(t *testing.T, s chaintest.Storage, script *faults.Script, twoSteps bool, existing int) (chaintest.Storage, *ropewalk.Appender) {
	for range existing {
		rival(t, s)
	}
	return s, s.Faulty(script, twoSteps).NewAppender(&ropewalk.AppenderOptions{PutTimeout: 30 * time.Second})
}

func rival(t *testing.T, s chaintest.Storage) {
	_, err := s.Direct().Update(context.WithoutCancel(t.Context()), func(_ context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{chaintest.Draft(fmt.Sprintf("rival after %s", r.Head().ID))}, nil
	})
	assertNoError(t, err)
}

// fence fences the head as a collector does, unless another writer is faster.
func fence(t *testing.T, s chaintest.Storage) {
	ctx := context.WithoutCancel(t.Context())
	h, err := s.Heads.Load(ctx, s.AggregateID)
	if assertNoError(t, err) && h.Exists() {
		_, _ = s.Heads.Swap(ctx, h, link.Fence(h))
	}
}

// Every request that an appender makes goes wrong in every way, alone, and with
// another writer or a fence at that moment.
func TestAppenderEveryOutcomeIsTrue(t *testing.T) {
	calls := map[bool]map[faults.Op]int{
		true:  {faults.Put: 8, faults.Swap: 4, faults.Load: 3, faults.Stat: 1},
		false: {faults.Commit: 4, faults.Load: 3, faults.Stat: 1},
	}
	for twoSteps, ops := range calls {
		for op, n := range ops {
			t.Run(fmt.Sprintf("two steps %v, %s", twoSteps, op), func(t *testing.T) {
				t.Parallel()
				for call := range n {
					for i, f := range chaintest.Faults(op, time.Second) {
						for bits := range 12 {
							if !sampled(call + i + bits) {
								continue
							}
							step := chaintest.Step{Op: op, Call: call + 1, Fault: f}
							synctest.Test(t, func(t *testing.T) { outcome(t, inMemory(), step, twoSteps, bits) })
							require.False(t, t.Failed(), "%s, %d", step, bits)
						}
					}
				}
			})
		}
	}
}

// TestAppenderEveryOutcomeOfPackedChainsIsTrue does so for packed chains, whose batches
// are in the tip or share objects.
func TestAppenderEveryOutcomeOfPackedChainsIsTrue(t *testing.T) {
	for op, n := range map[faults.Op]int{faults.Put: 4, faults.Swap: 5, faults.Load: 3, faults.Get: 1} {
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			t.Parallel()
			for call := range n {
				for i, f := range chaintest.Faults(op, time.Second) {
					for bits := range 12 {
						if !sampled(call + i + bits) {
							continue
						}
						step := chaintest.Step{Op: op, Call: call + 1, Fault: f}
						synctest.Test(t, func(t *testing.T) { outcome(t, packedInMemory(), step, true, bits) })
						require.False(t, t.Failed(), "%s, %d", step, bits)
					}
				}
			}
		})
	}
}

func outcome(t *testing.T, s chaintest.Storage, step chaintest.Step, twoSteps bool, bits int) {
	var script faults.Script
	s, appender := hotIn(t, s, &script, twoSteps, 3*(bits&1))
	switch bits >> 2 {
	case 1:
		step.Fault.After = func() { rival(t, s) }
	case 2:
		step.Fault.After = func() { fence(t, s) }
	}
	committing := faults.Commit
	if twoSteps {
		committing = faults.Swap
	}
	if step.Op == faults.Load || step.Op == faults.Stat || step.Op == faults.Get {
		script.On(committing, 2, faults.Fault{Kind: faults.Lost})
	}
	for _, op := range []faults.Op{faults.Put, committing} {
		script.Every(op, faults.Fault{DelayBefore: 20 * time.Millisecond})
	}
	script.On(step.Op, step.Call, step.Fault)
	l := &ledger{}
	atOnce(4, func(n int) {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if bits&2 > 0 && n%2 > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			l.call(ctx, appender, 1+n%2, fmt.Sprint("command ", n))
			cancel()
		}
	})
	script.Reset()
	l.requireTrue(t, s.Contents(t))
	require.NoError(t, l.call(t.Context(), appender, 1, "").err, "it goes on")
	script.Release()
	time.Sleep(31 * time.Second)
	l.settle(t, s)
	l.requireTrue(t, s.Contents(t))
}

// Two appenders of two processes, a plain writer and a fencer contend, while
// requests go wrong at random.
func TestAppendersContend(t *testing.T) {
	for seed := range seeds(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := inMemory()
			if seed%2 > 0 {
				s = packedInMemory()
			}
			synctest.Test(t, func(t *testing.T) { contend(t, s, seed) })
		})
	}
}

func contend(t *testing.T, s chaintest.Storage, seed uint64) {
	var script faults.Script
	random := rand.New(rand.NewPCG(seed, 7))
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	script.Draw(func(faults.Op, int) faults.Fault {
		f := faults.Fault{DelayBefore: time.Duration(random.IntN(20)) * time.Millisecond, DelayAfter: time.Duration(random.IntN(20)) * time.Millisecond}
		if random.IntN(12) == 0 {
			f.Kind, f.Retryable = kinds[random.IntN(len(kinds))], random.IntN(2) == 0
			f.LateBy = time.Duration(1+random.IntN(20_000)) * time.Millisecond
		}
		return f
	})
	twoSteps := seed%3 > 0
	s, one := hotIn(t, s, &script, twoSteps, 0)
	other := s.Faulty(&script, twoSteps).NewAppender(nil)
	l := &ledger{}
	atOnce(12, func(n int) {
		r := rand.New(rand.NewPCG(seed, uint64(n)+100))
		for i := range 12 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(5000))*time.Millisecond)
			switch {
			case n == 0:
				rival(t, s)
			case n == 1 && i%3 == 0:
				fence(t, s)
			case n%2 == 0:
				l.call(ctx, one, 1+r.IntN(3), "")
			default:
				l.call(ctx, other, 1+r.IntN(3), fmt.Sprint(n))
			}
			cancel()
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		}
	})
	script.Reset()
	time.Sleep(time.Minute)
	l.settle(t, s)
	l.requireTrue(t, s.Contents(t))
	counts := map[string]int{}
	for _, o := range l.all {
		switch {
		case o.err == nil:
			counts["committed"]++
		case o.uncertain() != nil:
			counts["uncertain"]++
		default:
			counts["refused"]++
		}
	}
	t.Log(counts)
	require.Positive(t, counts["committed"])
}

// Calls of any size and deadline, arriving at any time, under any faults.
func TestAppenderProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		twoSteps := rapid.Bool().Draw(rt, "two steps")
		kinds := []faults.Kind{faults.None, faults.None, faults.None, faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
		plan := rapid.SliceOfN(rapid.SampledFrom(kinds), 12, 12).Draw(rt, "faults")
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{1, 1, 2, 100, 256}), 1, 10).Draw(rt, "sizes")
		waits := rapid.SliceOfN(rapid.IntRange(1, 4000), len(sizes), len(sizes)).Draw(rt, "deadlines, in ms")
		arrivals := rapid.SliceOfN(rapid.IntRange(0, 100), len(sizes), len(sizes)).Draw(rt, "arrivals, in ms")
		bubble(t, func(t *testing.T) {
			var script faults.Script
			s, appender := hotWorld(t, &script, twoSteps, 0)
			n := 0
			script.Draw(func(op faults.Op, _ int) faults.Fault {
				n++
				return faults.Fault{Kind: plan[min(n, len(plan))-1], DelayBefore: 20 * time.Millisecond, LateBy: 50 * time.Millisecond}
			})
			l := &ledger{}
			atOnce(len(sizes), func(n int) {
				time.Sleep(time.Duration(arrivals[n]) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(waits[n])*time.Millisecond)
				defer cancel()
				l.call(ctx, appender, sizes[n], "")
			})
			script.Reset()
			time.Sleep(time.Minute)
			l.settle(t, s)
			l.requireTrue(rt, s.Contents(t))
		})
	})
}
