package report_test

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/bench/internal/report"
)

func TestStats(t *testing.T) {
	require.Equal(t, report.Stat{Median: 2, Low: 1, High: 9, Runs: 3}, report.Of([]float64{9, 1, 2}))
	require.Equal(t, report.Stat{Median: 2.5, Low: 1, High: 4, Runs: 4}, report.Of([]float64{4, 1, 2, 3}))
	require.Equal(t, report.Stat{}, report.Of(nil))
	require.Equal(t, report.Stat{Median: 2, Low: 1, High: 5, Runs: 3}, report.Ratios([]float64{2, 4, 5}, []float64{1, 4, 1}))
	require.InDelta(t, 95, report.Percentile(upTo(100), 95), 0)
	require.InDelta(t, 1, report.Percentile(upTo(1), 99), 0)
	require.Zero(t, report.Percentile(nil, 50))
}

func upTo(n int) (all []float64) {
	for i := range n {
		all = append(all, float64(i+1))
	}
	return all
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.0512: "0.0512", 12.345: "12.3", 123.4: "123", 1234.5: "1,235", 1234567: "1,234,567", 0.1: "0.1", 999.6: "1,000", 1e-9: "0.000000001",
	} {
		require.Equal(t, want, report.Number(v))
	}
	require.Equal(t, "-1,000", report.Count(-1000))
	require.Equal(t, "999", report.Count(999))
}

func TestResultsSurviveTheirFile(t *testing.T) {
	r := sample()
	folder := t.TempDir()
	require.NoError(t, r.Save(folder))
	got, err := report.Load(folder, "walk")
	require.NoError(t, err)
	require.Equal(t, r, got)
	_, err = report.Load(folder, "other")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPage(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, report.Page(folder, []report.Results{sample()}))
	text, err := os.ReadFile(filepath.Join(folder, "performance.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "- [A whole history](#a-whole-history)")
	require.Contains(t, string(text), "| plain walk | 1,000 | 20,700 (20,600–20,900) ms | 3 |")
	require.Contains(t, string(text), "| 50 (49–51) × plain walk | at least 50: met |")
	require.Contains(t, string(text), "at least 60: **missed**")
	require.Contains(t, string(text), "![Walks](walks.svg)")
	svg, err := os.Open(filepath.Join(folder, "walks.svg"))
	require.NoError(t, err)
	defer svg.Close()
	wellFormed(t, svg)
}

// wellFormed checks that a plot is XML, whatever its texts and figures.
func wellFormed(t *testing.T, r io.Reader) {
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NotContains(t, string(text), "NaN")
	require.NotContains(t, string(text), "Inf")
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for err == nil {
		_, err = d.Token()
	}
	require.ErrorIs(t, err, io.EOF)
}

func TestPlotsOfFewFigures(t *testing.T) {
	for _, p := range []report.Plot{
		{},
		{Bars: true, Labels: []string{"a<b"}, Series: []report.Series{{Name: "&", Points: []report.Point{{0, report.One(3)}}}}},
		{Series: []report.Series{{Points: []report.Point{{1, report.One(0)}}}}},
		{Series: []report.Series{{Points: []report.Point{{1, report.One(5)}, {1000, report.One(5000)}}}}},
	} {
		wellFormed(t, strings.NewReader(p.SVG()))
	}
}

func sample() report.Results {
	walk := report.Stat{Median: 20700, Low: 20600, High: 20900, Runs: 3}
	fast := report.Stat{Median: 400, Low: 390, High: 410, Runs: 3}
	row := report.Row{Name: "Ropewalk", N: 1000, Value: fast, Unit: "ms", Trips: 4, Requests: 1001}.Against(report.Stat{Median: 50, Low: 49, High: 51, Runs: 3}, "plain walk")
	return report.Results{
		Name: "walk", Title: "A whole history", Setup: "One after the other.", Command: "make bench", Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Rows: []report.Row{
			{Name: "plain walk", N: 1000, Value: walk, Unit: "ms"},
			row.Aim("at least 50", true), row.Aim("at least 60", false),
		},
		Plots: []report.Plot{{Name: "walks", Title: "Walks", Series: []report.Series{
			{Name: "plain", Points: []report.Point{{10, report.One(200)}, {1000, walk}}}, {Name: "Ropewalk", Points: []report.Point{{10, report.One(40)}, {1000, fast}}},
		}}},
		Limits: []string{"Round trips."},
	}
}
