package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/faults"
	"ropewalk/internal/meter"
)

func TestBenchEstimatesWhatItSends(t *testing.T) {
	p := newTestPlace()
	f := benchFlags{appends: 120, reads: 3, size: 10, parallel: 4}
	s := p.store(t)
	s.heads = faults.TwoSteps(s.heads).(location.Heads) // as in a cloud
	b := newBenching(p.app("").Streams, s, f)
	require.NoError(t, b.run(t.Context()))
	left, err := b.clean(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5, left)
	estimated, sent := f.estimate("s3"), b.meter.Count()
	require.Equal(t, estimated.Put, sent.Put)
	require.Equal(t, estimated.Swap, sent.Swap)
	require.Equal(t, estimated.Delete, sent.Delete)
	require.GreaterOrEqual(t, estimated.Load, sent.Load)
	require.GreaterOrEqual(t, estimated.List, sent.List)
	require.GreaterOrEqual(t, estimated.Get, sent.Get+sent.Stat)
	require.InEpsilon(t, benchPrices["s3"].dollars(sent), benchPrices["s3"].dollars(estimated), 0.05)
}

func TestBenchPrices(t *testing.T) {
	c := meter.Counts{Put: 1e6, Get: 1e6, Stat: 1e6, Load: 1e6, Swap: 1e6, List: 1e6, Delete: 1e6}
	require.InDelta(t, 5+0.4+0.4+0.125+0.625+5, benchPrices["aws"].dollars(c), 1e-9)
	require.InDelta(t, 5+0.4+0.4+0.4+5+5, benchPrices["azure"].dollars(c), 1e-9)
	require.Zero(t, benchPrices["file"].dollars(c))
	require.True(t, benchPrices["mem"].free())
	require.False(t, benchPrices["azure"].free())
}

// Everything that bench has made is erased, even if it was interrupted or failed.
func TestBenchCleansUp(t *testing.T) {
	p := newTestPlace()
	ctx, interrupt := context.WithCancel(t.Context())
	p.script.On(faults.Commit, 50, faults.Fault{Before: interrupt})
	got := p.run(ctx, "", "bench", "mem:", "--json")
	require.Equal(t, 130, got.exit, got.stderr)
	require.Empty(t, leftBehind(p))

	p = newTestPlace()
	p.script.Every(faults.Get, faults.Fault{Kind: faults.Dropped})
	got = p.run(t.Context(), "", "bench", "mem:", "--parallel", "2")
	require.Equal(t, 1, got.exit, got.stderr)
	require.Contains(t, got.stdout, "tombstones that remain: 1")
	require.Empty(t, leftBehind(p))
}

func TestBenchSaysWhatItCouldNotErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.script.Every(faults.Delete, faults.Fault{Kind: faults.Dropped})
		got := p.run(t.Context(), "", "bench", "mem:", "--appends", "1", "--parallel", "1")
		require.NotZero(t, got.exit)
		require.Contains(t, got.stderr, "error: erase bench-")
		require.Contains(t, got.stderr, "ropewalk erase removes it")
	})
}

// leftBehind returns the objects that are left.
func leftBehind(p *testPlace) (names []string) {
	p.memory.Tamper(func(all *memstore.Contents) {
		for name := range all.Objects {
			names = append(names, strings.Clone(name))
		}
	})
	return names
}
