package backendtest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func logChecks() []check {
	return append([]check{
		{"LogEnd: of an empty log has the generation and row 0", logOfNothing},
		{"Entries: yields each change of a version or a state once, whichever way it was swapped", logOfChanges},
		{"Entries: has the order of the commits, across aggregates and handles", logInOrder},
		{"Entries: leaves out fences, checkpoints and reserved aggregates", logLeavesOut},
		{"Entries: leaves out void heads, and has the append after one", logOfVoid},
		{"Entries: leaves out swaps that failed", logLeavesOutFailures},
		{"Entries: keeps every aggregate ID and every version", logOfWorstCase},
		{"Entries: begins with the entry at the position", logBegins},
		{"Entries: begins with the first entry at the zero position and at row 0", logBeginsAtZero},
		{"Entries: yields pages that are not empty, and ends after the last entry", logInPages},
		{"Entries: may be left early, and ranged over again", logMayBeLeft},
		{"Entries: holds no lock while the loop works", logHoldsNothing},
		{"Entries: a position that the log does not have is ErrOtherLog", logOfOther},
		{"Entries: of swaps that race has the winners, in their order", logOfRace},
		{"Position: is the same for every handle, and another one for every entry", logPositions},
		{"LogEnd: is the position of the newest entry, for every handle", logEnds},
		{"Context: one that has ended is the error of Entries and LogEnd", logUnderEndedContext},
		{"Entries: a context that ends on the way is its one error", logCancelled},
	}, followChecks...)
}

// loggedStore is a store of heads with a log.
type loggedStore struct {
	head.Store
	head.Log
}

func logged(t testing.TB, h Harness) loggedStore {
	t.Helper()
	s := h.Heads(t)
	l, ok := head.As[head.Log](s)
	require.True(t, ok, "%T has no head.Log", s)
	return loggedStore{s, l}
}

func logEnd(t testing.TB, l head.Log) head.LogPosition {
	t.Helper()
	end, err := l.LogEnd(t.Context())
	require.NoError(t, err)
	return end
}

// entriesFrom returns the entries from a position on, in one list.
func entriesFrom(t testing.TB, l head.Log, from head.LogPosition) []head.LogEntry {
	t.Helper()
	var all []head.LogEntry
	for _, page := range collect(t, l.Entries(t.Context(), from, false)) {
		all = append(all, page...)
	}
	return all
}

// entriesAfter is entriesFrom without the entry at the position.
func entriesAfter(t testing.TB, l head.Log, after head.LogPosition) []head.LogEntry {
	t.Helper()
	all := entriesFrom(t, l, after)
	if after.Row == 0 {
		return all
	}
	require.NotEmpty(t, all, "the entry at the position is missing")
	require.Equal(t, after, all[0].Position, "it does not begin at the position")
	return all[1:]
}

func advances(entries []head.LogEntry) []head.Advance {
	all := make([]head.Advance, len(entries))
	for i, e := range entries {
		all[i] = e.Advance
	}
	return all
}

// requireLogged demands that these are the entries after a position.
func requireLogged(t testing.TB, l head.Log, after head.LogPosition, want ...head.Advance) {
	t.Helper()
	require.Equal(t, want, advances(entriesAfter(t, l, after)))
}

// advance returns what a swap must add to the log.
func advance(old, next head.Head) head.Advance {
	return head.Advance{AggregateID: next.AggregateID, First: old.Len(), Last: next.Version, ID: next.ID, Before: old.ID, Erased: next.State == head.Erased}
}

func logOfNothing(t testing.TB, h Harness) {
	l := logged(t, h)
	end := logEnd(t, l)
	if end.Row > 0 {
		t.Skip("the log is not empty")
	}
	require.Regexp(t, "^[0-9a-f]{16}$", end.Generation)
	require.Equal(t, head.LogPosition{Generation: end.Generation}, end)
	require.Empty(t, collect(t, l.Entries(t.Context(), end, false)))
	stored := create(t, l)
	requireLogged(t, l, end, advance(head.Head{}, stored))
}

func logOfChanges(t testing.TB, h Harness) {
	l := logged(t, h)
	end := logEnd(t, l)
	one := create(t, l)
	_, three := extend(t, one, one.AggregateID, changeset.Draft{}, changeset.Draft{})
	three = swap(t, l, one, three)
	rebuilt := next(t, three, one.AggregateID)
	rebuilt.Revision += 5
	rebuilt = swap(t, l, three.WithToken(""), rebuilt)
	want := []head.Advance{advance(head.Head{}, one), advance(one, three), advance(three, rebuilt)}
	last := rebuilt
	if _, ok := head.As[head.Combined](l.Store); ok {
		cs, next := extend(t, rebuilt, one.AggregateID, changeset.Draft{}, changeset.Draft{})
		last = commit(t, combined(t, h), cs, rebuilt, next)
		want = append(want, advance(rebuilt, last))
	}
	tombstone := swap(t, l, last, link.Tombstone(last))
	requireLogged(t, l, end, append(want, advance(last, tombstone))...)
	erasure := want[len(want)-1].Last + 1
	require.Equal(t, erasure, advance(last, tombstone).First, "an erasure covers no version that was logged")
}

func logInOrder(t testing.TB, h Harness) {
	handles := []loggedStore{logged(t, h), logged(t, h), logged(t, h)}
	end := logEnd(t, handles[0])
	stored := make([]head.Head, 4)
	var want []head.Advance
	for i := range 24 {
		n := i * 7 % len(stored)
		old := stored[n]
		id := old.AggregateID
		if !old.Exists() {
			id = newAggregate()
		}
		stored[n] = swap(t, handles[i%len(handles)], old, next(t, old, id))
		want = append(want, advance(old, stored[n]))
	}
	for _, l := range handles {
		requireLogged(t, l, end, want...)
	}
}

func logLeavesOut(t testing.TB, h Harness) {
	l := logged(t, h)
	stored := create(t, l)
	end := logEnd(t, l)
	stored = swap(t, l, stored, link.Fence(stored))
	checkpoint := link.Fence(stored)
	checkpoint.Checkpoint = "l.1"
	stored = swap(t, l, stored, checkpoint)
	reserved := swap(t, l, head.Head{}, next(t, head.Head{}, "$feed-"+newAggregate()))
	reserved = swap(t, l, reserved, next(t, reserved, reserved.AggregateID))
	swap(t, l, reserved, link.Tombstone(reserved))
	require.Equal(t, end, logEnd(t, l))
	requireLogged(t, l, end, []head.Advance{}...)
	last := swap(t, l, stored, next(t, stored, stored.AggregateID))
	requireLogged(t, l, end, advance(stored, last))
}

func logLeavesOutFailures(t testing.TB, h Harness) {
	l := logged(t, h)
	old := create(t, l)
	stored := swap(t, l, old, next(t, old, old.AggregateID))
	end := logEnd(t, l)
	refuse(t, l, old, next(t, old, old.AggregateID), stored)
	refuse(t, l, head.Head{}, next(t, head.Head{}, old.AggregateID), stored)
	_, err := l.Swap(t.Context(), stored, lower(t, stored))
	requireNotApplied(t, err)
	underEnded(t, func(ctx context.Context) error {
		_, err := l.Swap(ctx, stored, next(t, stored, stored.AggregateID))
		return err
	})
	require.Equal(t, end, logEnd(t, l))
	require.Empty(t, entriesAfter(t, l, end))
}

func logOfWorstCase(t testing.TB, h Harness) {
	l := logged(t, h)
	end := logEnd(t, l)
	worst := swap(t, l, head.Head{}, worstHead(t))
	tombstone := swap(t, l, worst, link.Tombstone(worst))
	want := []head.Advance{advance(head.Head{}, worst), advance(worst, tombstone)}
	for _, id := range []string{newAggregate() + "/é%41 \u202e🪢'", longID("é")} {
		want = append(want, advance(head.Head{}, swap(t, l, head.Head{}, next(t, head.Head{}, id))))
	}
	requireLogged(t, l, end, want...)
}

func logBegins(t testing.TB, h Harness) {
	l := logged(t, h)
	createMany(t, l, 5)
	all := entriesFrom(t, l, head.LogPosition{})
	for _, i := range []int{0, 1, len(all) / 2, len(all) - 2, len(all) - 1} {
		require.Equal(t, all[i:], entriesFrom(t, l, all[i].Position))
	}
}

func logBeginsAtZero(t testing.TB, h Harness) {
	l := logged(t, h)
	create(t, l)
	all := entriesFrom(t, l, head.LogPosition{})
	require.Equal(t, uint64(1), all[0].Position.Row)
	require.Equal(t, all, entriesFrom(t, l, head.LogPosition{Generation: all[0].Position.Generation}))
}

func logInPages(t testing.TB, h Harness) {
	l := logged(t, h)
	end := logEnd(t, l)
	created := createMany(t, l, h.Listed)
	for _, page := range collect(t, l.Entries(t.Context(), end, false)) {
		require.NotEmpty(t, page)
	}
	seen := map[head.Advance]bool{}
	for _, e := range entriesAfter(t, l, end) {
		require.Greater(t, e.Position.Row, end.Row)
		end = e.Position
		require.False(t, seen[e.Advance], "logged twice")
		seen[e.Advance] = true
	}
	require.Len(t, seen, len(created))
	for _, stored := range created {
		require.True(t, seen[advance(head.Head{}, stored)], "not logged")
	}
}

func logMayBeLeft(t testing.TB, h Harness) {
	l := logged(t, h)
	create(t, l)
	entries := l.Entries(t.Context(), logEnd(t, l), false)
	for _, n := range []int{1, 1} {
		require.Len(t, take(t, n, entries), n)
	}
	late := create(t, l)
	all := collect(t, entries)
	page := all[len(all)-1]
	require.Equal(t, advance(head.Head{}, late), page[len(page)-1].Advance, "a second iteration reads again")
}

func logHoldsNothing(t testing.TB, h Harness) {
	l, other := logged(t, h), logged(t, h)
	stored := create(t, l)
	for page, err := range l.Entries(t.Context(), logEnd(t, l), false) {
		require.NoError(t, err)
		require.NotEmpty(t, page)
		if stored.Version < 3 {
			stored = swap(t, l, stored, next(t, stored, stored.AggregateID))
			stored = swap(t, other, stored, next(t, stored, stored.AggregateID))
			require.Equal(t, logEnd(t, l), logEnd(t, other))
			require.Len(t, entriesFrom(t, other, page[0].Position), len(page)+2)
		}
	}
}

// requireOther demands that the log does not have a position.
func requireOther(t testing.TB, l head.Log, from head.LogPosition, what string) {
	t.Helper()
	for _, follow := range []bool{false, true} {
		err := failure(t, func(yield func([]head.LogEntry, error) bool) {
			for page, err := range l.Entries(t.Context(), from, follow) {
				require.Empty(t, page, what)
				if !yield(page, err) || err == nil {
					return
				}
			}
		})
		require.ErrorIs(t, err, head.ErrOtherLog, what)
	}
}

func logOfOther(t testing.TB, h Harness) {
	l := logged(t, h)
	create(t, l)
	create(t, l)
	end := logEnd(t, l)
	for what, change := range map[string]func(p *head.LogPosition){
		"another generation":           func(p *head.LogPosition) { p.Generation = "0123456789abcdef" },
		"no generation":                func(p *head.LogPosition) { p.Generation = "" },
		"another mark":                 func(p *head.LogPosition) { p.Mark[7] ^= 1 },
		"no mark":                      func(p *head.LogPosition) { p.Mark = [8]byte{} },
		"the mark of another row":      func(p *head.LogPosition) { p.Row-- },
		"a row beyond the end":         func(p *head.LogPosition) { p.Row++ },
		"the largest row":              func(p *head.LogPosition) { p.Row = math.MaxUint64 },
		"a row of 63 bits":             func(p *head.LogPosition) { p.Row = math.MaxInt64 },
		"a row of 64 bits":             func(p *head.LogPosition) { p.Row = math.MaxInt64 + 1 },
		"row 0 of another generation":  func(p *head.LogPosition) { *p = head.LogPosition{Generation: "0123456789abcdef"} },
		"row 0 with a mark":            func(p *head.LogPosition) { p.Row = 0 },
		"a mark without anything else": func(p *head.LogPosition) { *p = head.LogPosition{Mark: p.Mark} },
	} {
		from := end
		change(&from)
		requireOther(t, l, from, what)
	}
}

func logOfRace(t testing.TB, h Harness) {
	stores := racers(t, h)
	l := logged(t, h)
	end := logEnd(t, l)
	var want []head.Advance
	var stored head.Head
	id := newAggregate()
	for range h.Rounds {
		won := race(t, stores, stored, id)
		want = append(want, advance(stored, won))
		stored = won
	}
	requireLogged(t, l, end, want...)
}

func logPositions(t testing.TB, h Harness) {
	l := logged(t, h)
	createMany(t, l, 5)
	all := entriesFrom(t, l, head.LogPosition{})
	require.Equal(t, all, entriesFrom(t, logged(t, h), head.LogPosition{}))
	marks := map[[8]byte]bool{{}: true}
	for _, e := range all {
		require.Equal(t, all[0].Position.Generation, e.Position.Generation)
		require.False(t, marks[e.Position.Mark], "two entries of one mark, or a mark of zeros")
		marks[e.Position.Mark] = true
	}
	require.Regexp(t, "^[0-9a-f]{16}$", all[0].Position.Generation)
}

func logEnds(t testing.TB, h Harness) {
	l, other := logged(t, h), logged(t, h)
	for range 3 {
		create(t, l)
		all := entriesFrom(t, l, head.LogPosition{})
		require.Equal(t, all[len(all)-1].Position, logEnd(t, l))
		require.Equal(t, all[len(all)-1].Position, logEnd(t, other))
	}
}

func logUnderEndedContext(t testing.TB, h Harness) {
	l := logged(t, h)
	create(t, l)
	underEnded(t, func(ctx context.Context) error {
		_, err := l.LogEnd(ctx)
		return err
	})
	for _, follow := range []bool{false, true} {
		underEnded(t, func(ctx context.Context) error {
			return failure(t, l.Entries(ctx, head.LogPosition{}, follow))
		})
	}
}

func logCancelled(t testing.TB, h Harness) {
	l := logged(t, h)
	createMany(t, l, 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requireCancelled(t, cancel, l.Entries(ctx, head.LogPosition{}, false))
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err := failure(t, func(yield func([]head.LogEntry, error) bool) {
		for page, err := range l.Entries(ctx, head.LogPosition{}, true) {
			if cancel(); !yield(page, err) {
				return
			}
		}
	})
	require.True(t, errors.Is(err, context.Canceled), "a follower ended without the context's error: %v", err)
}
