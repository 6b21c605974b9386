package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
)

// TestMain lets the tests' own program be the benchmarks' child.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArgument {
		if err := child(os.Args[2], os.Args[3:]); err != nil {
			fail(err)
		}
		return
	}
	os.Exit(m.Run())
}

// The experiments that need no servers run, quick, from measuring to the page.
func TestQuickExperiments(t *testing.T) {
	t.Setenv("ROPEWALK_TEST_DUCKDB_PYTHON", "")
	l, err := newLaboratory(true, 1, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(l.close)
	out := t.TempDir()
	for _, e := range []experiment{embeddedExperiment, processorExperiment, operationsExperiment, bulkExperiment, scaleExperiment, aggregatesExperiment, feedExperiment, feedCostsExperiment, queryExperiment} {
		require.NoError(t, l.experiment(t.Context(), e, filepath.Join(out, "results")), e.name)
		r, err := report.Load(filepath.Join(out, "results"), e.name)
		require.NoError(t, err)
		require.NotEmpty(t, r.Rows)
		require.NotEmpty(t, r.Limits)
		require.True(t, r.Quick)
	}
	require.NoError(t, page(filepath.Join(out, "results")))
	text, err := os.ReadFile(filepath.Join(out, "results", "performance.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "## Embedded, on the local disk")
	require.Contains(t, string(text), "no figure to quote")
}

// Packed chains reach all aims that are counted or computed.
func TestPackedChainsReachTheirAims(t *testing.T) {
	l, err := newLaboratory(true, 1, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(l.close)
	var r report.Results
	require.NoError(t, packedExperiment.run(t.Context(), l, &r))
	aims := 0
	for _, row := range r.Rows {
		if row.Target != "" {
			require.True(t, row.Met, row.String())
			aims++
		}
	}
	require.Equal(t, 11, aims)
}

// A newcomer's steps are lines of the README, as they stand there.
func TestNewcomersReadTheReadme(t *testing.T) {
	require.NoError(t, inReadme(".."))
	require.ErrorContains(t, inReadme("."), "README.md")
}

func TestEventsHaveTheirSize(t *testing.T) {
	l := &laboratory{seed: 1}
	for _, size := range []int{205, 512, 2048} {
		require.Len(t, l.event(size), size)
		require.True(t, json.Valid(l.event(size)))
	}
}

// The page gives the same numbers of trips as the root package's own tests.
func TestTripsAreThoseOfTheReader(t *testing.T) {
	l, err := newLaboratory(true, 1, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(l.close)
	costs, err := l.trips(t.Context(),
		lab.Task{Do: lab.DoAppend, N: 1000},
		lab.Task{Do: lab.DoBackward, N: 15},
		lab.Task{Do: lab.DoBackward, N: 1000})
	require.NoError(t, err)
	require.Equal(t, [][2]int{{2, 2}, {2, 16}, {4, 1001}}, [][2]int{
		{costs[0].Trips, costs[0].Requests}, {costs[1].Trips, costs[1].Requests}, {costs[2].Trips, costs[2].Requests},
	})
}

func TestStreamsOfAChild(t *testing.T) {
	for _, how := range streamings {
		out, err := runChild(t.Context(), nil, "stream", how.name, "300")
		require.NoError(t, err)
		require.Regexp(t, `^\d+\n$`, string(out))
	}
	_, err := runChild(t.Context(), nil, "verify", "300")
	require.NoError(t, err)
	_, err = runChild(t.Context(), nil, "stream", "sideways", "1")
	require.ErrorContains(t, err, "no streaming")
}

func TestCosts(t *testing.T) {
	small, large := tableCosts(512), tableCosts(300<<10)
	require.InDelta(t, priceWriteUnit, small.append, 1e-9)
	require.InDelta(t, 301*priceWriteUnit, large.append, 1e-9)
	require.InDelta(t, priceS3Put+priceWriteUnit/10, ropewalkCosts(512, 10).append, 1e-9)
	require.Less(t, ropewalkCosts(300<<10, 1).read, large.read)
	require.Greater(t, ropewalkCosts(512, 1).read, small.read)
}
