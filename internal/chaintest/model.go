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
// requests are dropped, late, lost and refused at random, and what each call
// tells must fit the slice. within runs a test, in a bubble of virtual time or
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
	unsure   map[changeset.Ref][]string // uncertain appends
	commands map[string]sent
	made     int
}

// sent is an append that was acknowledged, with its command.
type sent struct {
	after head.Head
	got   changeset.Ref
}

func newModel(t *testing.T, rt *rapid.T, s Storage) *model {
	m := &model{t: t, storage: s, heads: []head.Head{{}}, unsure: map[changeset.Ref][]string{}, commands: map[string]sent{}}
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
	var conflict *ropewalk.ConflictError
	if errors.As(err, &conflict) {
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
	for ref := range m.unsure {
		_, err := m.call(rt, func(ctx context.Context) (head.Head, error) { return m.chain.Settle(ctx, ref) })
		m.settled(rt, ref, err)
		return
	}
	rt.Skip("nothing is uncertain")
}

func (m *model) settleAll(rt *rapid.T) {
	for ref := range m.unsure {
		_, err := m.storage.Direct().Settle(m.t.Context(), ref)
		m.settled(rt, ref, err)
	}
	for _, contents := range m.unsure { // of a combined store: nothing of it is stored
		require.NotContains(rt, m.stored(), contents[0])
	}
}

func (m *model) settled(rt *rapid.T, ref changeset.Ref, err error) {
	switch {
	case err == nil:
		require.Contains(rt, m.stored(), m.unsure[ref][0])
		delete(m.unsure, ref)
	case IsConflict(err):
		require.NotContains(rt, m.stored(), m.unsure[ref][0])
		delete(m.unsure, ref)
	}
}

// told holds an outcome against what is stored.
func (m *model) told(rt *rapid.T, got head.Head, err error, contents []string) {
	var uncertain *ropewalk.UncertainError
	stored := m.stored()
	switch {
	case err == nil:
		first := int(got.Version) - len(contents) + 1
		require.Equal(rt, contents, stored[first:first+len(contents)])
	case errors.As(err, &uncertain):
		m.unsure[uncertain.Ref] = contents
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
	sorted := slices.Sorted(slices.Values(stored))
	require.Len(rt, slices.Compact(sorted), len(stored), "a content is in the chain twice")
}
