package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// newBarePlace returns a place whose feed is a chain, which needs a relay, with
// two changesets of one aggregate and one changeset of another.
func newBarePlace(t *testing.T) *testPlace {
	p := newTestPlace()
	p.bare = true
	p.append(t, "order-1", `{"n":1}`, `{"n":2}`)
	p.append(t, "order-2", "text")
	return p
}

// append appends each content to an aggregate.
func (p *testPlace) append(t *testing.T, id string, contents ...string) {
	t.Helper()
	chain := ropewalk.New(p.memory, p.memory, nil).Chain(id)
	for _, content := range contents {
		h, err := p.memory.Load(t.Context(), id)
		require.NoError(t, err)
		_, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte(content), ContentType: "application/json"})
		require.NoError(t, err)
	}
}

// requireJSON checks that every line of stdout follows its schema.
func requireJSON(t *testing.T, got result) {
	t.Helper()
	require.NoError(t, compileSchemas(t).check([]byte(got.stdout)))
}

func TestRelayOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		require.Equal(t, result{stdout: "fed 2 advances in 1 batch\n"}, p.run(t.Context(), "", "relay", "--once"))
		require.Equal(t, result{stdout: "fed 0 advances in 0 batches\n"}, p.run(t.Context(), "", "relay", "--once"))
		p.append(t, "order-2", "more")
		got := p.run(t.Context(), "", "relay", "--once", "--sweep", "--json")
		require.Equal(t, result{stdout: `{"v":1,"kind":"relay","batches":1,"advances":1}` + "\n"}, got)
		requireJSON(t, got)
		p.append(t, "order-2", "more")
		require.Equal(t, "fed 1 advance in 1 batch\n", p.run(t.Context(), "", "feed", "sweep").stdout)
	})
}

// A log needs no relay, with or without an end.
func TestRelayOfALog(t *testing.T) {
	for _, args := range [][]string{{"relay"}, {"relay", "--once"}, {"relay", "--sweep"}, {"feed", "sweep"}} {
		require.Equal(t, result{stdout: "no relay is needed: the log of the store is its feed\n"}, newTestPlace().run(t.Context(), "", args...), args)
		got := newTestPlace().run(t.Context(), "", append(args, "--json")...)
		require.Equal(t, `{"v":1,"kind":"relay","log":true,"batches":0,"advances":0}`+"\n", got.stdout)
		requireJSON(t, got)
	}
}

// An interrupt is the regular end of a relay. It reports what it has fed.
func TestRelayUntilStopped(t *testing.T) {
	for _, args := range [][]string{{"relay"}, {"relay", "--sweep"}} {
		synctest.Test(t, func(t *testing.T) {
			p := newBarePlace(t)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Minute, func() { p.append(t, "order-1", "later") })
			time.AfterFunc(2*time.Minute, cancel)
			require.Equal(t, result{stdout: "fed 3 advances in 2 batches\n"}, p.run(ctx, "", args...))
			require.Equal(t, "the feed is complete\n", p.run(t.Context(), "", "feed", "verify").stdout)
		})
	}
}

// Failures of the storage are logged, and do not end a relay.
func TestRelayOutlivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Second, func() {
			p.script.Every(faults.Put, faults.Fault{Kind: faults.Dropped, Err: errors.New("the storage is away")})
			p.append(t, "order-1", "late")
		})
		time.AfterFunc(time.Minute, cancel)
		got := p.run(ctx, "", "relay")
		require.Zero(t, got.exit)
		require.Equal(t, "fed 2 advances in 1 batch\n", got.stdout)
		require.Contains(t, got.stderr, "level=WARN")
		require.Contains(t, got.stderr, "the storage is away")
		requireVisible(t, got, false)
	})
}

// A relay on a schedule that is interrupted has exit code 130, and reports.
func TestInterruptedRelayOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		p.script.Every(faults.Load, faults.Fault{DelayBefore: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got := p.run(ctx, "", "relay", "--once")
		require.Equal(t, 130, got.exit)
		require.Equal(t, "fed 0 advances in 0 batches\n", got.stdout)
		require.Equal(t, "error: interrupted\n", got.stderr)
	})
}

// What a relay leaves alone is named, and is a fault of which no other command reports.
func TestRelayReportsWhatItLeavesAlone(t *testing.T) {
	for _, id := range oddIDs {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			p.bare = true
			p.append(t, id, "0")
			var old []byte
			p.memory.Tamper(func(all *memstore.Contents) { old = all.Heads[head.ObjectName(id)] })
			p.append(t, id, "1")
			p.append(t, "other", "0")
			require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)

			p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(id)] = old })
			p.append(t, id, "another 1")
			got := p.run(t.Context(), "", "relay", "--once", "--json")
			require.Equal(t, 6, got.exit)
			require.Contains(t, got.stdout, `"restored":[`)
			require.Contains(t, got.stderr, "error: 1 aggregate left alone\n")
			requireJSON(t, got)
			requireHints(t, id, got.stderr)

			p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(id)] = []byte("{") })
			got = p.run(t.Context(), "", "feed", "sweep", "--json")
			require.Equal(t, 6, got.exit)
			require.Contains(t, got.stdout, `"unread":[`)
			requireJSON(t, got)
			requireHints(t, id, got.stderr)
		})
	}
}

// A relay that finds its feed dropped must not go on.
func TestRelayOfADroppedFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		time.AfterFunc(time.Minute, func() {
			require.Zero(t, p.run(t.Context(), "", "feed", "drop", "--yes").exit)
			p.append(t, "order-1", "later")
		})
		got := p.run(t.Context(), "", "relay", "--json")
		require.Equal(t, 4, got.exit)
		require.Contains(t, got.stdout, `"code":"feed-replaced"`)
		require.Contains(t, got.stderr, "hint: start again: ")
		requireJSON(t, got)
	})
}
