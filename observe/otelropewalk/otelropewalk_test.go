package otelropewalk_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// emitted is what a run has emitted under one name: what it is, and its attributes.
type emitted map[string]map[string]bool

func (e emitted) add(name string, keys ...attribute.KeyValue) {
	if e[name] == nil {
		e[name] = map[string]bool{}
	}
	for _, k := range keys {
		e[name][string(k.Key)] = true
	}
}

func (e emitted) lines() (all []string) {
	for name, keys := range e {
		all = append(all, name+": "+strings.Join(slices.Sorted(maps.Keys(keys)), " "))
	}
	slices.Sort(all)
	return all
}

// documented reads a table of the page: its first columns name something, and the last column
// but one has the attributes.
func documented(t *testing.T, section string, columns int) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
	require.True(t, ok, section)
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		var name []string
		for _, cell := range cells[:columns] {
			name = append(name, strings.Trim(strings.TrimSpace(cell), "`"))
		}
		keys := regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(cells[columns], -1)
		var sorted []string
		for _, k := range keys {
			sorted = append(sorted, k[1])
		}
		slices.Sort(sorted)
		all = append(all, strings.Join(name, " ")+": "+strings.Join(sorted, " "))
	}
	require.NotEmpty(t, all)
	slices.Sort(all)
	return all
}

// The page has every span and every metric with its kind, its unit and its attributes, and
// nothing else.
func TestWhatIsEmittedIsDocumented(t *testing.T) {
	inBubble(t, func(s *scene) {
		t := s.T
		s.everything()
		spans, metrics := emitted{}, emitted{}
		for _, span := range s.spans.GetSpans() {
			spans.add(nameOf(t, span)+" "+strings.ToLower(span.SpanKind.String()), span.Attributes...)
		}
		for _, m := range s.metrics() {
			kind, points := dataOf(m)
			for _, p := range points {
				metrics.add(m.Name+" "+kind+" "+m.Unit, p.ToSlice()...)
			}
		}
		require.Equal(t, documented(t, "Spans", 2), spans.lines())
		require.Equal(t, documented(t, "Metrics", 3), metrics.lines())
	})
}

// nameOf returns the name of a span, as the page has it.
func nameOf(t *testing.T, span tracetest.SpanStub) string {
	if span.SpanKind != trace.SpanKindClient {
		return span.Name
	}
	attributes := attribute.NewSet(span.Attributes...)
	operation, _ := attributes.Value("db.operation.name")
	collection, _ := attributes.Value("db.collection.name")
	require.Equal(t, operation.AsString()+" "+collection.AsString(), span.Name)
	return "{operation} {collection}"
}

// dataOf returns what kind of instrument a metric has, and the attributes of its points.
func dataOf(m metricdata.Metrics) (kind string, points []attribute.Set) {
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range data.DataPoints {
			points = append(points, p.Attributes)
		}
	case metricdata.Histogram[int64]:
		kind = "histogram"
		for _, p := range data.DataPoints {
			points = append(points, p.Attributes)
		}
	case metricdata.Sum[int64]:
		kind = "counter"
		for _, p := range data.DataPoints {
			points = append(points, p.Attributes)
		}
	default:
		panic(fmt.Sprintf("%s is a %T", m.Name, m.Data))
	}
	return kind, points
}

// Each operation has the outcome that it has returned.
func TestOutcomes(t *testing.T) {
	inBubble(t, func(s *scene) {
		t := s.T
		s.appends()
		var got []string
		for _, span := range s.spans.GetSpans() {
			attributes := attribute.NewSet(span.Attributes...)
			if o, ok := attributes.Value("ropewalk.outcome"); ok {
				got = append(got, strings.TrimPrefix(span.Name, "ropewalk ")+" "+o.AsString())
			}
		}
		require.Equal(t, []string{
			"append committed", "append settled", "append conflict", "append failed", "settle settled",
			"append uncertain", "settle uncertain", "settle conflict",
		}, got)
		counters := map[string]int64{}
		for _, m := range s.metrics() {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range sum.DataPoints {
					counters[m.Name] += p.Value
				}
			}
		}
		require.Equal(t, int64(2), counters["ropewalk.conflicts"])
		require.Equal(t, int64(2), counters["ropewalk.uncertain_outcomes"])
	})
}

// The requests of an append are children of its span, which is a child of the caller's; two
// rounds of one request each, and every span ends once.
func TestSpansAreNested(t *testing.T) {
	inBubble(t, func(s *scene) {
		t := s.T
		ctx, outer := s.tracers.Tracer("application").Start(t.Context(), "checkout")
		_, err := s.store.Chain("order-1").Create(ctx, draft())
		require.NoError(t, err)
		outer.End()
		spans := map[string]trace.SpanContext{}
		parents := map[string]trace.SpanID{}
		for _, span := range s.spans.GetSpans() {
			require.NotContains(t, spans, span.Name)
			spans[span.Name], parents[span.Name] = span.SpanContext, span.Parent.SpanID()
			require.False(t, span.EndTime.IsZero())
			if span.Name == "ropewalk append" {
				attributes := attribute.NewSet(span.Attributes...)
				for key, want := range map[attribute.Key]int64{"ropewalk.rounds": 2, "ropewalk.requests": 2, "ropewalk.attempts": 1, "ropewalk.count": 1} {
					v, _ := attributes.Value(key)
					require.Equal(t, want, v.AsInt64(), key)
				}
			}
		}
		require.Len(t, spans, 4)
		require.Equal(t, spans["checkout"].SpanID(), parents["ropewalk append"])
		require.Equal(t, spans["ropewalk append"].SpanID(), parents["put changesets"])
		require.Equal(t, spans["ropewalk append"].SpanID(), parents["swap heads"])
	})
}

// The page quotes the example, which is compiled.
func TestThePageQuotesTheExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 1)
	require.Contains(t, string(example), blocks[0][1])
}
