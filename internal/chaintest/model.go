package chaintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// TestModel holds a chain against a slice of contents, the model: writers that
// remember heads append, with and without commands, repeat and settle, while
// requests are dropped, late, lost and refused at random, and each call's
// result must fit the slice. within runs a test, in a bubble of virtual time or
// not; storage makes a fresh chain for each run.
func TestModel(t *testing.T, within func(*testing.T, func(*testing.T)), storage func() Storage) {
	rapid.Check(t, func(rt *rapid.T) {
		within(t, func(t *testing.T) {
			m := newModel(t, rt, storage())
			rt.Repeat(map[string]func(*rapid.T){
				"append": m.append, "repeat": m.repeat, "settle": m.settle, "update": m.update,
				"fence":   func(*rapid.T) { m.storage.Fence(t) },
				"release": func(*rapid.T) { m.script.Release() },
				"":        m.check,
			})
			m.script.Release()
			m.settleAll(rt)
			m.check(rt)
		})
	})
}

type model struct {
	t        *testing.T
	storage  Storage
	script   faults.Script
	chain    *ropewalk.Chain // under faults
	want     []string        // contents; only ever extended
	heads    []head.Head
	unsure   []unsure // uncertain appends
	commands map[string]sent
	made     int
}

// unsure is an append that is uncertain, and what Settle said of it last.
type unsure struct {
	*ropewalk.UncertainError
	contents []string
	settled  Outcome // Unknown until it is settled
}

// sent is an append that was acknowledged, with its command.
type sent struct {
	after head.Head
	got   changeset.Ref
}

func newModel(t *testing.T, rt *rapid.T, s Storage) *model {
	m := &model{t: t, storage: s, heads: []head.Head{{}}, commands: map[string]sent{}}
	m.chain = s.Faulty(&m.script, rapid.Bool().Draw(rt, "two steps"))
	return m
}

// drawFaults lets the requests of the next call go wrong.
func (m *model) drawFaults(rt *rapid.T) {
	kinds := []faults.Kind{faults.None, faults.None, faults.None, faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	plan := rapid.SliceOfN(rapid.SampledFrom(kinds), 8, 8).Draw(rt, "faults")
	retryable := rapid.Bool().Draw(rt, "retryable")
	calls := 0
	m.script.Draw(func(op faults.Op, _ int) faults.Fault {
		calls++
		return faults.Fault{Kind: plan[min(calls, len(plan))-1], Retryable: retryable}
	})
}

func (m *model) call(rt *rapid.T, do func(context.Context) (head.Head, error)) (head.Head, error) {
	m.drawFaults(rt)
	ctx, cancel := context.WithTimeout(m.t.Context(), m.storage.Unit)
	defer cancel()
	h, err := do(ctx)
	m.script.Draw(nil)
	return h, err
}

func (m *model) append(rt *rapid.T) {
	after := rapid.SampledFrom(m.heads).Draw(rt, "after")
	command := rapid.SampledFrom([]string{"", fmt.Sprintf("command-%d", m.made)}).Draw(rt, "command")
	contents, drafts := m.drafts(rapid.IntRange(1, 3).Draw(rt, "size"), command)
	got, err := m.call(rt, func(ctx context.Context) (head.Head, error) { return m.chain.Append(ctx, after, drafts...) })
	m.told(rt, got, err, contents)
	if err == nil {
		m.heads = append(m.heads, got)
		if command != "" {
			m.commands[command] = sent{after, got.Ref}
		}
	}
	if conflict, ok := errors.AsType[*ropewalk.ConflictError](err); ok {
		m.heads = append(m.heads, conflict.Actual)
	}
}

// repeat sends an acknowledged command again, after the same head.
func (m *model) repeat(rt *rapid.T) {
	if len(m.commands) == 0 {
		rt.Skip("no commands")
	}
	keys := make([]string, 0, len(m.commands))
	for k := range m.commands {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	command := rapid.SampledFrom(keys).Draw(rt, "command")
	_, drafts := m.drafts(1, command)
	got, err := m.call(rt, func(ctx context.Context) (head.Head, error) {
		return m.chain.Append(ctx, m.commands[command].after, drafts...)
	})
	require.False(rt, IsConflict(err), "a command that was processed is never a conflict")
	if err == nil {
		require.Equal(rt, m.commands[command].got, got.Ref)
	}
}

func (m *model) update(rt *rapid.T) {
	contents, drafts := m.drafts(1, "")
	got, err := m.call(rt, func(ctx context.Context) (head.Head, error) {
		return m.chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return drafts, nil })
	})
	m.told(rt, got, err, contents)
}

func (m *model) settle(rt *rapid.T) {
	if len(m.unsure) == 0 {
		rt.Skip("nothing is uncertain")
	}
	u := &m.unsure[rapid.IntRange(0, len(m.unsure)-1).Draw(rt, "settle")]
	_, err := m.call(rt, func(ctx context.Context) (head.Head, error) { return m.chain.Settle(ctx, u.Ref, u.AfterRevision) })
	m.settled(rt, u, err)
}

// settleAll settles all that is uncertain, without faults. It stays uncertain only if
// there is no head, and the chain may not write a void head.
func (m *model) settleAll(rt *rapid.T) {
	for i := range m.unsure {
		u := &m.unsure[i]
		_, err := m.storage.Direct().Settle(m.t.Context(), u.Ref, u.AfterRevision)
		m.settled(rt, u, err)
		require.Equal(rt, m.storage.canSettle(m.t, m.storage.Others), u.settled != Unknown, "%v", err)
	}
}

// settled holds what Settle says against what is stored, and against what it
// said before.
func (m *model) settled(rt *rapid.T, u *unsure, err error) {
	settled := Unknown
	switch {
	case err == nil:
		settled = OK
		require.Contains(rt, m.stored(), u.contents[0])
	case IsConflict(err):
		settled = Refused
		require.NotContains(rt, m.stored(), u.contents[0])
	default:
		require.ErrorAs(rt, err, new(*ropewalk.UncertainError))
		return
	}
	require.Contains(rt, []Outcome{Unknown, settled}, u.settled, "an answer is for good")
	u.settled = settled
}

// told compares the outcome a caller got with what is stored.
func (m *model) told(rt *rapid.T, got head.Head, err error, contents []string) {
	uncertain, unknown := errors.AsType[*ropewalk.UncertainError](err)
	stored := m.stored()
	switch {
	case err == nil:
		first := int(got.Version) - len(contents) + 1
		require.Equal(rt, contents, stored[first:first+len(contents)])
	case unknown:
		m.unsure = append(m.unsure, unsure{uncertain, contents, Unknown})
	default:
		require.NotContains(rt, stored, contents[0], "told %v", err)
	}
}

func (m *model) drafts(n int, command string) (contents []string, drafts []changeset.Draft) {
	for range n {
		m.made++
		contents = append(contents, fmt.Sprint(m.made))
		drafts = append(drafts, changeset.Draft{Content: []byte(contents[len(contents)-1]), CommandID: command})
	}
	return contents, drafts
}

func (m *model) stored() []string { return m.storage.Contents(m.t) }

// check sees that history was only ever extended, and that nothing is in it twice.
func (m *model) check(rt *rapid.T) {
	stored := m.stored()
	require.GreaterOrEqual(rt, len(stored), len(m.want))
	require.True(rt, slices.Equal(m.want, stored[:len(m.want)]), "%v became %v", m.want, stored)
	m.want = stored
	for _, u := range m.unsure {
		if u.settled != Unknown {
			require.Equal(rt, u.settled == OK, slices.Contains(stored, u.contents[0]), "an answer is for good")
		}
	}
	sorted := slices.Sorted(slices.Values(stored))
	require.Len(rt, slices.Compact(sorted), len(stored), "the same content is in the chain twice")
}
