package ui

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// If the end is unknown, count and rate are shown, and taken away at the end.
func TestProgressWithoutAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr strings.Builder
		s := NewStreams(nil, nil, &stderr, nil)
		s.IsTerminal = func(any) bool { return true }
		s.Guard(t.Context())
		bar := s.NewProgress(-1, false, "changesets")
		bar.Add(1000)
		require.Empty(t, stderr.String(), "not within the first second")
		time.Sleep(10 * time.Second)
		bar.Add(54_056)
		bar.Add(1)
		require.Equal(t, clearLine+"55,056 changesets, 5,505/s", stderr.String(), "shown ten times a second at most")
		time.Sleep(10 * time.Second)
		bar.Add(0)
		time.Sleep(time.Second)
		bar.Note("caught up")
		bar.End()
		bar.Add(1)
		require.Equal(t, clearLine+"55,056 changesets, 5,505/s"+clearLine+"55,057 changesets, 2,752/s"+clearLine+"55,057 changesets, 2,621/s, caught up"+clearLine, stderr.String())
	})
}
