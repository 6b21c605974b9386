package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A chain is searched by the time of recording as a filter over all of it would be, at
// every time before, at and after a changeset, whether changesets share a time or not.
func TestLogByTheTimeOfRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		var recorded, limits []time.Time
		for n, wait := range []time.Duration{time.Hour, 0, time.Hour, time.Nanosecond, 0, time.Hour} {
			time.Sleep(wait)
			require.Zero(t, p.run(t.Context(), fmt.Sprintf("{\"n\":%d}\n", n), "append", "order", "--any").exit)
			h, err := p.memory.Load(t.Context(), "order")
			require.NoError(t, err)
			recorded = append(recorded, h.UpdatedAt)
			limits = append(limits, recorded[n].Add(-1), recorded[n], recorded[n].Add(1))
		}
		for _, since := range limits {
			for _, until := range limits {
				want := ""
				for n, at := range recorded {
					if !at.Before(since) && !at.After(until) {
						want += fmt.Sprintf("{\"n\":%d}\n", n)
					}
				}
				between := "order@{" + since.Format(time.RFC3339Nano) + "}..{" + until.Format(time.RFC3339Nano) + "}"
				got := p.run(t.Context(), "", "cat", between)
				require.Equal(t, want, got.stdout, "%s: %s", between, got.stderr)
				got = p.run(t.Context(), "", "log", "order", "--since", since.Format(time.RFC3339Nano), "--until", until.Format(time.RFC3339Nano))
				require.Zero(t, got.exit, got.stderr)
				require.Equal(t, strings.Count(want, "\n"), strings.Count(got.stdout, "\n")-1, between)
			}
		}
	})
}
