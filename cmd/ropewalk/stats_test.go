package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every length falls into one group, and the groups leave no length out.
func TestGroupsOfChainLengths(t *testing.T) {
	var s statsJSON
	for length := uint64(1); length <= 1000; length++ {
		s.addChain(length)
	}
	next := uint64(1)
	for _, c := range s.Chains {
		require.Equal(t, next, c.First)
		require.Equal(t, int64(min(c.Last, 1000)-c.First+1), c.Aggregates)
		next = c.Last + 1
	}
	require.Greater(t, next, uint64(1000))
	s.addChain(1 << 63)
	require.Equal(t, lengthJSON{1 << 63, 1<<64 - 1, 1}, s.Chains[63])
}

// The estimate has a price for each cloud, and counts heads at the price of their store.
func TestEstimateOfAMonth(t *testing.T) {
	s := statsJSON{Heads: 1e6, TipBytes: 1e9, Objects: countJSON{1e6, 1e9}}
	for scheme, want := range map[string]float64{"file": 0, "mem": 0, "s3": 2.4*0.023 + 2*0.023, "aws": 2.4*0.023 + 2*0.25, "azure": 2.4*0.018 + 2*0.018} {
		s.estimate(storagePrices[scheme])
		require.InDelta(t, want, s.Month, 1e-9, scheme)
		require.Equal(t, want == 0, s.Prices == "", scheme)
	}
}
