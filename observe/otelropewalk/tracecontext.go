package otelropewalk

import (
	"bytes"
	"context"
	"encoding/json"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"ropewalk/changeset"
	"ropewalk/internal/eventline"
)

// TraceParent is the key of the metadata that has the trace context: the value of the W3C
// header of that name. Package aggregate has the same key for the metadata of events.
const TraceParent = "traceparent"

// Metadata returns the trace context of ctx as metadata, or nil if ctx has no span. It is
// for aggregate.Options.Metadata, or for the Metadata of a draft, where it takes 66 of the
// bytes that [changeset.MaxMetadata] allows. The calls of handlers are linked to it.
//
// It changes the bytes that are stored, so that it is left to the application. A command ID
// recognises a repeated append, even if its metadata differs.
func Metadata(ctx context.Context) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return map[string]string{TraceParent: carrier[TraceParent]}
}

// maxLinks bounds the links of one span.
const maxLinks = 64

// links returns links to the spans in which changes were made, each once.
func links(changes []changeset.Changeset) (all []trace.Link) {
	seen := map[string]bool{}
	for _, c := range changes {
		parent := traceParentOf(c)
		if parent == "" || seen[parent] || len(all) == maxLinks {
			continue
		}
		seen[parent] = true
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{TraceParent: parent})
		if made := trace.SpanContextFromContext(ctx); made.IsValid() {
			all = append(all, trace.Link{SpanContext: made})
		}
	}
	return all
}

// traceParentOf returns the trace context of a changeset, or of its first event.
func traceParentOf(c changeset.Changeset) string {
	if parent := c.Metadata[TraceParent]; parent != "" {
		return parent
	}
	first, _, _ := bytes.Cut(c.Content, []byte("\n"))
	line, err := eventline.Parse(first)
	if err != nil {
		return ""
	}
	var meta map[string]any
	if json.Unmarshal(line.Meta, &meta) != nil {
		return ""
	}
	parent, _ := meta[TraceParent].(string)
	return parent
}
