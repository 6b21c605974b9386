package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/transfer"
)

var moving = transfer.Options{MoveFrom: "mem:from", MoveTo: "mem:to"}

// migration is a move of all aggregates while writers append to them. A writer goes to the
// destination when it is told that the aggregate has moved.
type migration struct {
	t        *testing.T
	from, to *memstore.Store
	here     faults.Script // of the mover at the source
	there    faults.Script // at the destination
	writes   faults.Script // of the writers at the source

	writers  sync.WaitGroup
	stop     chan struct{}
	mu       sync.Mutex
	acked    []changeset.Ref // acknowledged, or found to be committed
	refused  []changeset.Ref // refused for good
	switched map[string]bool // aggregates that a writer has found moved
	unsure   int             // appends whose outcome was unknown at first
}

func newMigration(t *testing.T) *migration {
	return &migration{t: t, from: memstore.New(), to: memstore.New(), stop: make(chan struct{}), switched: map[string]bool{}}
}

// slowly makes every request take time, so that others come in between.
func slowly(seed uint64, scripts ...*faults.Script) {
	for i, s := range scripts {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		s.Draw(func(faults.Op, int) faults.Fault {
			return faults.Fault{
				DelayBefore: time.Duration(r.IntN(100)) * time.Millisecond, DelayAfter: time.Duration(r.IntN(100)) * time.Millisecond,
			}
		})
	}
}

func (m *migration) copier() *transfer.Copier {
	return transfer.New(scripted(m.from, &m.here), scripted(m.to, &m.there), &moving)
}

// write appends until the migration is over.
func (m *migration) write(writer int) {
	m.writers.Go(func() {
		r := rand.New(rand.NewPCG(7, uint64(writer)))
		for i := 0; ; i++ {
			select {
			case <-m.stop:
				return
			case <-time.After(time.Duration(r.IntN(400)) * time.Millisecond):
			}
			m.append(fmt.Sprint([]string{"plain-", "packed-"}[writer%2], r.IntN(3)), strings.Repeat("x", r.IntN(300))+fmt.Sprint(writer, "/", i))
		}
	})
}

// append appends to an aggregate where it is, and settles what is uncertain.
func (m *migration) append(id, text string) {
	m.mu.Lock()
	switched := m.switched[id]
	m.mu.Unlock()
	options := &ropewalk.Options{Packed: strings.HasPrefix(id, "packed"), TipSize: 600, SettleTimeout: time.Second}
	s := ropewalk.New(m.writes.Changesets(m.from), faults.TwoSteps(m.writes.Heads(m.from)), options)
	if switched {
		s = ropewalk.New(m.to, faults.TwoSteps(m.to), options)
	}
	chain := s.Chain(id)
	h, err := chain.Head(context.Background())
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return
	}
	got, err := chain.Append(context.Background(), h, draft(text))
	m.judge(id, chain, got, err)
}

func (m *migration) judge(id string, chain *ropewalk.Chain, got head.Head, err error) {
	unsure, uncertain := errors.AsType[*ropewalk.UncertainError](err)
	for tries := 0; uncertain && tries < 50; tries++ {
		if got, err = chain.Settle(context.Background(), unsure.Ref, unsure.AfterRevision); !errors.Is(err, ropewalk.ErrUncertain) {
			break
		}
		time.Sleep(time.Second)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if uncertain {
		m.unsure++
	}
	moved, isMoved := errors.AsType[*ropewalk.MovedError](err)
	switch {
	case err == nil:
		m.acked = append(m.acked, got.Ref)
	case isMoved && moved.Move.Done:
		require.Equal(m.t, "mem:to", moved.Move.To)
		m.switched[id] = true
	case uncertain && errors.Is(err, ropewalk.ErrConflict):
		m.refused = append(m.refused, unsure.Ref)
	}
}

// finish moves until nothing is left, and demands that nothing was lost.
func (m *migration) finish() {
	m.t.Helper()
	var here, there faults.Script
	slowly(2, &here, &there)
	for again := true; again; {
		again = false
		for r, err := range transfer.New(scripted(m.from, &here), scripted(m.to, &there), &moving).MoveAll(m.t.Context()) {
			require.NoError(m.t, err)
			require.NoError(m.t, r.Err)
			again = again || r.Outcome == transfer.Moved
		}
	}
	time.Sleep(5 * time.Second) // writers go on at the destination
	close(m.stop)
	m.writers.Wait()
	chains := map[string][]string{}
	for h, err := range m.from.List(m.t.Context(), "") {
		require.NoError(m.t, err)
		require.Equal(m.t, head.Move{To: "mem:to", Done: true}, h.Move)
		for _, s := range []*memstore.Store{m.from, m.to} {
			report, err := inspect.New(s, s, nil).Verify(m.t.Context(), h.AggregateID)
			require.NoError(m.t, err)
			require.Empty(m.t, report.Problems)
		}
		before, after := history(m.t, m.from, h.AggregateID), history(m.t, m.to, h.AggregateID)
		require.Equal(m.t, before, after[:len(before)], "the history of the source is the beginning")
		chains[h.AggregateID] = after
		there, err := m.to.Load(m.t.Context(), h.AggregateID)
		require.NoError(m.t, err)
		require.Zero(m.t, there.Move)
		require.LessOrEqual(m.t, there.Formats.Numbers().MinWriter, uint64(2))
	}
	in := func(ref changeset.Ref) bool {
		return slices.ContainsFunc(chains[ref.AggregateID], func(line string) bool { return strings.HasPrefix(line, ref.String()+" ") })
	}
	for _, ref := range m.acked {
		require.True(m.t, in(ref), "%s was acknowledged", ref)
	}
	for _, ref := range m.refused {
		require.False(m.t, in(ref), "%s was refused", ref)
	}
}

// Each request of a migration fails once or has an unknown outcome, or the mover dies there,
// while writers append, whose own swaps fail too. Nothing that was acknowledged is lost, and
// nothing that was refused comes back.
func TestMoveThroughFaults(t *testing.T) {
	unsure := 0
	for _, at := range []struct {
		side string
		ops  []faults.Op
	}{
		{"here", []faults.Op{faults.Load, faults.Swap, faults.Get, faults.GetMany}},
		{"there", []faults.Op{faults.Load, faults.Put, faults.Swap}},
	} {
		for _, op := range at.ops {
			for _, kind := range []faults.Kind{faults.Dropped, faults.None, faults.Lost, faults.Late} {
				if kind > faults.Dropped && op != faults.Put && op != faults.Swap {
					continue
				}
				t.Run(fmt.Sprint(at.side, " ", op, " ", kind), func(t *testing.T) {
					for call := 1; ; call = following(call) {
						met := false
						synctest.Test(t, func(t *testing.T) {
							m := newMigration(t)
							met = m.through(at.side, op, kind, call)
							unsure += m.unsure
						})
						if !met {
							break
						}
					}
				})
			}
		}
	}
	require.Positive(t, unsure, "the swaps of writers have unknown outcomes, by the script")
}

// through reports whether the request was made.
func (m *migration) through(side string, op faults.Op, kind faults.Kind, call int) bool {
	slowly(uint64(call), &m.here, &m.there, &m.writes)
	silence := func() {
		m.writes.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		time.AfterFunc(3*time.Second, func() { m.writes.Every(faults.Load, faults.Fault{}) })
	}
	for n := 3; n < 400; n += 7 {
		f := faults.Fault{Kind: []faults.Kind{faults.Dropped, faults.Lost, faults.Late}[n%3]}
		if n%5 == 0 {
			f.Before = silence // the writer cannot find out what became of it
		}
		m.writes.On(faults.Swap, n, f)
	}
	for writer := range 4 {
		m.write(writer)
	}
	time.Sleep(5 * time.Second)
	script := map[string]*faults.Script{"here": &m.here, "there": &m.there}[side]
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	f := faults.Fault{Kind: kind}
	if kind == faults.None {
		f.Before = cancel // it dies there
	}
	script.On(op, call, f)
	for range m.copier().CopyAll(ctx) {
	}
	for range m.copier().MoveAll(ctx) {
	}
	time.Sleep(2 * time.Second)
	script.Release()
	m.writes.Release()
	m.finish()
	script.Release()
	return len(script.Unused()) == 0
}

// A head that does not decode is reported by copies and moves, each in its own words, and
// the other aggregates are not held up.
func TestDamagedHeadsAreReported(t *testing.T) {
	for name, all := range map[string]func(*transfer.Copier, context.Context) iter.Seq2[transfer.Report, error]{
		"copy": (*transfer.Copier).CopyAll, "move": (*transfer.Copier).MoveAll,
	} {
		from, to := small(t), memstore.New()
		from.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("plain")] = []byte("{}") })
		errs := map[string]error{}
		for r, err := range all(transfer.New(storage(from), storage(to), &moving), t.Context()) {
			require.NoError(t, err)
			errs[r.AggregateID] = r.Err
		}
		require.ErrorContains(t, errs["plain"], name+` "plain": `)
		require.ErrorAs(t, errs["plain"], new(*changeset.CorruptError))
		require.NoError(t, errs["packed"])
		requireCopied(t, from, to, "packed")
	}
}

// After a move the source refuses appends of every kind, with an error that says where the
// aggregate is, and goes on to be read, verified, collected and erased.
func TestSourceAfterAMove(t *testing.T) {
	for _, id := range []string{"plain", "mixed", "packed"} {
		from, to := small(t), memstore.New()
		before, err := from.Load(t.Context(), id)
		require.NoError(t, err)
		report, err := transfer.New(storage(from), storage(to), &moving).Move(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, transfer.Moved, report.Outcome)
		requireCopied(t, from, to, id)
		s := ropewalk.New(from, from, nil)
		chain := s.Chain(id)
		now, err := chain.Head(t.Context())
		require.NoError(t, err)
		for _, h := range []head.Head{before, now} {
			_, err = chain.Append(t.Context(), h, draft("late"))
			requireMoved(t, err)
		}
		_, err = chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			return []changeset.Draft{draft("late")}, nil
		})
		requireMoved(t, err)
		appender := chain.NewAppender(nil)
		for range 2 {
			_, err = appender.Append(t.Context(), draft("late"))
			requireMoved(t, err)
		}
		for _, member := range []ropewalk.Member{chain.Appending(now, draft("late")), chain.Appending(before, draft("late")), chain.Unchanged(now), chain.Unchanged(before)} {
			_, err = s.Commit(t.Context(), member, s.Chain("other-"+id).Appending(head.Head{}, draft("other")))
			requireMoved(t, err)
		}
		require.Equal(t, history(t, to, id), history(t, from, id))
		verified, err := inspect.New(from, from, nil).Verify(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, verified.Problems)
		require.Zero(t, verified.Pending)
		_, err = gc.New(from, from, &gc.Options{Delete: true}).Collect(t.Context(), id)
		require.NoError(t, err)
		_, err = gc.New(from, from, nil).Flush(t.Context(), id)
		require.NoError(t, err)
		report, err = transfer.New(storage(from), storage(to), &moving).Move(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, transfer.Equal, report.Outcome)
		appendTo(t, ropewalk.New(to, to, nil), id, "at its new place")
		_, err = gc.New(from, from, nil).Erase(t.Context(), id)
		require.NoError(t, err)
	}
}

func requireMoved(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, ropewalk.ErrMoved)
	moved, ok := errors.AsType[*ropewalk.MovedError](err)
	require.True(t, ok, err)
	require.Equal(t, head.Move{To: "mem:to", Done: true}, moved.Move)
	require.ErrorContains(t, err, `has moved to mem:to: append to it there`)
	require.NotErrorIs(t, err, ropewalk.ErrUncertain)
}

// A move back opens the former source, which gets what was appended since.
func TestMoveBack(t *testing.T) {
	back := transfer.Options{MoveFrom: "mem:to", MoveTo: "mem:from"}
	for _, id := range []string{"plain", "mixed", "packed"} {
		for _, more := range []int{0, 3} {
			from, to := small(t), memstore.New()
			_, err := transfer.New(storage(from), storage(to), &moving).Move(t.Context(), id)
			require.NoError(t, err)
			appender := ropewalk.New(from, from, nil).Chain(id).NewAppender(nil)
			_, err = appender.Append(t.Context(), draft("refused"))
			requireMoved(t, err)
			for i := range more {
				appendTo(t, tipped(to, 600), id, strings.Repeat("x", 300)+fmt.Sprint(i))
			}
			_, err = transfer.New(storage(to), storage(from), nil).Copy(t.Context(), id)
			require.NoError(t, err, "a plain copy brings it up to date, and does not open it")
			_, err = ropewalk.New(from, from, nil).Chain(id).Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
				return []changeset.Draft{draft("late")}, nil
			})
			require.ErrorIs(t, err, ropewalk.ErrMoved)
			report, err := transfer.New(storage(to), storage(from), &back).Move(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, transfer.Moved, report.Outcome)
			_, err = appender.Append(t.Context(), draft("accepted"))
			require.NoError(t, err)
			appendTo(t, tipped(from, 600), id, "back", strings.Repeat("x", 700))
			_, err = transfer.New(storage(from), storage(to), &moving).Move(t.Context(), id)
			require.NoError(t, err, "and there again")
			requireCopied(t, from, to, id)
			appendTo(t, tipped(to, 600), id, "there")
		}
	}
}

// An aggregate that has moved to another storage is neither moved nor opened.
func TestMoveElsewhere(t *testing.T) {
	from, to := small(t), memstore.New()
	_, err := transfer.New(storage(from), storage(to), &moving).Move(t.Context(), "plain")
	require.NoError(t, err)
	_, err = transfer.New(storage(from), storage(memstore.New()), &transfer.Options{MoveTo: "mem:third"}).Move(t.Context(), "plain")
	require.ErrorIs(t, err, ropewalk.ErrMoved)
	_, err = transfer.New(storage(to), storage(from), &transfer.Options{MoveFrom: "mem:third", MoveTo: "mem:from"}).Move(t.Context(), "plain")
	require.ErrorIs(t, err, ropewalk.ErrMoved)
	require.ErrorContains(t, err, "at the destination: ")
	_, err = transfer.New(storage(from), storage(to), nil).Move(t.Context(), "plain")
	require.ErrorContains(t, err, "the name of the destination has 0 bytes")
}

// A writer that goes to the destination too early forks the history. The move ends with a
// conflict, and nothing is overwritten.
func TestMoveAfterAnEarlyWriter(t *testing.T) {
	from, to := small(t), memstore.New()
	copyOne(t, from, to, "plain")
	appendTo(t, ropewalk.New(from, from, nil), "plain", "acknowledged")
	var script faults.Script
	script.On(faults.Swap, 1, faults.Fault{Before: func() { appendTo(t, ropewalk.New(to, to, nil), "plain", "too early") }})
	_, err := transfer.New(storage(from), scripted(to, &script), &moving).Move(t.Context(), "plain")
	require.ErrorIs(t, err, ropewalk.ErrConflict)
	require.Len(t, history(t, to, "plain"), 4)
}

// A copy that follows moves aggregates that are created after the cut-over.
func TestFollowMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newPursuit(t, "log")
		f.options = moving
		appendTo(t, ropewalk.New(f.from, f.from, nil), "old", "one")
		go func() { _ = f.run(t.Context()) }()
		time.Sleep(time.Minute)
		appendTo(t, ropewalk.New(f.from, f.from, nil), "new", "one")
		time.Sleep(time.Minute)
		for _, id := range []string{"old", "new"} {
			requireCopied(t, f.from, f.to, id)
			_, err := ropewalk.New(f.from, f.from, nil).Chain(id).Create(t.Context(), draft("late"))
			require.Error(t, err)
			h, err := f.from.Load(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, head.Move{To: "mem:to", Done: true}, h.Move)
		}
	})
}
