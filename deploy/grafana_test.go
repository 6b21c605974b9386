package deploy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dashboard is what is looked at of a dashboard of Grafana.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

// exported returns the names that an exporter for Prometheus gives to the metrics on the page
// about them, by their units, and the names of their attributes.
func exported(t *testing.T) (metrics, attributes []string) {
	t.Helper()
	page, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (histogram|counter) \\| (\\S+) \\| ([^|]*) \\|")
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		name := strings.ReplaceAll(r[1], ".", "_") + map[string]string{"s": "_seconds", "By": "_bytes"}[r[3]]
		if r[2] == "counter" {
			metrics = append(metrics, name+"_total")
		} else {
			metrics = append(metrics, name+"_bucket", name+"_sum", name+"_count")
		}
		for _, a := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(r[4], -1) {
			attributes = append(attributes, strings.ReplaceAll(a[1], ".", "_"))
		}
	}
	require.Greater(t, len(metrics), 20)
	return metrics, attributes
}

// Every query of the dashboard is about a metric and attributes that exist, and every metric
// is on it.
func TestDashboardQueriesWhatIsRecorded(t *testing.T) {
	text, err := os.ReadFile("grafana/ropewalk.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.UID)
	require.NotZero(t, d.SchemaVersion)
	metrics, attributes := exported(t)
	known := slices.Concat(metrics, attributes, strings.Fields("sum by le rate increase histogram_quantile __rate_interval corrupt head_lost"))
	all, ids := string(text), map[int]bool{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		require.Positive(t, p.GridPos.W*p.GridPos.H, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			for _, word := range regexp.MustCompile(`[a-z_]{2,}`).FindAllString(target.Expr, -1) {
				require.Contains(t, known, word, p.Title)
			}
		}
	}
	for _, name := range metrics {
		name = regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
		require.Contains(t, all, name, "it is on no panel")
	}
}
