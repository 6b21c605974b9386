package otelropewalk_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/observe/otelropewalk"
)

// A handler's span has a link to the span that was active when the change was made, and
// the span of a change without a trace has no link.
func TestHandlersAreLinkedToAppends(t *testing.T) {
	inBubble(t, func(s *scene) {
		ctx, span := s.tracers.Tracer("application").Start(s.Context(), "checkout")
		metadata := otelropewalk.Metadata(ctx)
		require.Len(s, metadata[otelropewalk.TraceParent], 55)
		first, err := s.store.Chain("order-1").Create(ctx, ropewalk.Draft{Metadata: metadata})
		require.NoError(s, err)
		span.End()
		_, err = s.store.Chain("order-1").Append(s.Context(), first, ropewalk.Draft{Metadata: map[string]string{"traceparent": "no trace"}})
		require.NoError(s, err)
		require.Nil(s, otelropewalk.Metadata(s.Context()), "without a span there is nothing to keep")

		f := feed.Open(s.store, nil)
		_, err = f.Relay(nil).Once(s.Context())
		require.NoError(s, err)
		running, cancel := context.WithCancel(s.Context())
		defer cancel()
		require.NoError(s, f.Subscription("mail", nil).Run(running, func(_ context.Context, c feed.Change) error {
			if c.Version == 1 {
				cancel()
			}
			return nil
		}))
		var linked [][]trace.SpanID
		for _, handled := range s.spans.GetSpans() {
			if handled.Name == "handle feed" {
				var ids []trace.SpanID
				for _, l := range handled.Links {
					ids = append(ids, l.SpanContext.SpanID())
				}
				linked = append(linked, ids)
			}
		}
		require.Equal(s, [][]trace.SpanID{{span.SpanContext().SpanID()}, nil}, linked)
	})
}

// A repeated append is recognised by its command ID, even if its trace differs.
func TestARepeatedAppendMayHaveAnotherTrace(t *testing.T) {
	inBubble(t, func(s *scene) {
		var heads []ropewalk.Head
		for range 2 {
			ctx, span := s.tracers.Tracer("application").Start(s.Context(), "checkout")
			h, err := s.store.Chain("order-1").Create(ctx, ropewalk.Draft{CommandID: "pay-1", Metadata: otelropewalk.Metadata(ctx)})
			require.NoError(s, err)
			span.End()
			heads = append(heads, h)
		}
		require.Equal(s, heads[0].Ref, heads[1].Ref)
	})
}

// What an append and a read take with and without telemetry, if no span is sampled:
// go test -bench Telemetry
func BenchmarkTelemetry(b *testing.B) {
	for _, observed := range []bool{false, true} {
		db := memstore.New()
		store := ropewalk.New(db, db, nil)
		if observed {
			store = telemetry(b).Store(db, db, nil)
		}
		name := map[bool]string{false: "bare", true: "observed"}[observed]
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var h ropewalk.Head
			for b.Loop() {
				var err error
				if h, err = store.Chain("order-1").Append(b.Context(), h, draft()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := store.Chain("order-1").Reader(b.Context())
				if err == nil {
					_, err = r.At(b.Context(), 0)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
