package soak

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/backends/memstore"
	"ropewalk/head"
)

func TestThrottledHeadsHaveWhatTheyWrap(t *testing.T) {
	backendtest.TestHeadDecorator(t, func(_ testing.TB, inner head.Store) head.Store {
		return throttling{head.NewPassThrough(inner), &loading{Load: Load{ThrottleOneIn: 1 << 62}}}
	})
}

func TestThrottlingStrikesSwapsAndCommits(t *testing.T) {
	w := &loading{Load: Load{ThrottleOneIn: 1}}
	heads := throttling{head.NewPassThrough(memstore.New()), w}
	var refused *head.NotAppliedError
	_, err := heads.Swap(t.Context(), head.Head{}, head.Head{})
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Retryable)
	_, err = heads.Commit(t.Context(), nil, head.Head{}, head.Head{})
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Retryable)
	require.EqualValues(t, 2, w.throttled.Load())
}
