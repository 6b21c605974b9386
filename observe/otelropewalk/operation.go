package otelropewalk

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"ropewalk"
)

// Start begins the span of an operation. It is called by the store.
func (t *Telemetry) Start(ctx context.Context, o ropewalk.Operation) (context.Context, func(ropewalk.Result)) {
	began := time.Now()
	t.recordLag(ctx, o, began)
	name, options := describe(o)
	ctx, span := t.tracer.Start(ctx, name, options...)
	ctx, tally := withTally(ctx)
	return ctx, func(r ropewalk.Result) {
		c := tally.counts()
		t.endSpan(span, o, r, c)
		t.record(ctx, o, r, c, time.Since(began))
	}
}

// describe returns the name of an operation's span, and what is known when it begins.
func describe(o ropewalk.Operation) (string, []trace.SpanStartOption) {
	attributes := []attribute.KeyValue{operationName.String(string(o.Name))}
	if o.AggregateID != "" {
		attributes = append(attributes, aggregateID.String(o.AggregateID))
	}
	name, kind := "ropewalk "+string(o.Name), trace.SpanKindInternal
	switch o.Name {
	case ropewalk.OperationRelay:
		name, kind = "relay feed", trace.SpanKindProducer
		attributes = append(attributes, messaging(o, "send")...)
	case ropewalk.OperationHandle:
		name, kind = "handle feed", trace.SpanKindConsumer
		attributes = append(attributes, messaging(o, "process")...)
		attributes = append(attributes, msgSubscription.String(o.Subscription), msgBatchCount.Int(len(o.Changes)), attempts.Int(o.Attempt))
	}
	return name, []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes...), trace.WithLinks(links(o.Changes)...)}
}

func messaging(o ropewalk.Operation, kind string) []attribute.KeyValue {
	return []attribute.KeyValue{msgSystem.String(scope), msgOperation.String(string(o.Name)), msgType.String(kind), msgDestination.String("feed")}
}

// endSpan ends a span with what is known when the operation has ended.
func (t *Telemetry) endSpan(span trace.Span, o ropewalk.Operation, r ropewalk.Result, c counts) {
	defer span.End()
	span.SetAttributes(outcome.String(outcomeOf(o.Name, r.Err, c)), rounds.Int(c.rounds), requests.Int(c.requests), count.Int(r.Count))
	if writes(o.Name) {
		span.SetAttributes(attempts.Int(c.swaps))
	}
	if kind := errorTypeOf(r.Err); kind != "" {
		span.SetAttributes(errorType.String(kind))
		span.SetStatus(codes.Error, kind)
	}
}

// record records the metrics of an operation that has ended.
func (t *Telemetry) record(ctx context.Context, o ropewalk.Operation, r ropewalk.Result, c counts, took time.Duration) {
	m, ended := &t.metrics, outcomeOf(o.Name, r.Err, c)
	name := operationName.String(string(o.Name))
	attributes := []attribute.KeyValue{name, outcome.String(ended)}
	if kind := errorTypeOf(r.Err); kind != "" {
		attributes = append(attributes, errorType.String(kind))
	}
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributes(attributes...))
	m.rounds.Record(ctx, int64(c.rounds), metric.WithAttributes(name))
	m.requests.Record(ctx, int64(c.requests), metric.WithAttributes(name))
	single := writes(o.Name) && o.Name != ropewalk.OperationUpdate // its appends are counted already
	switch {
	case single && ended == outcomeConflict:
		m.conflicts.Add(ctx, 1, metric.WithAttributes(name))
	case single && ended == outcomeUncertain:
		m.uncertain.Add(ctx, 1, metric.WithAttributes(name))
	case o.Name == ropewalk.OperationCollect && r.Count > 0:
		m.orphans.Add(ctx, int64(r.Count))
	case o.Name == ropewalk.OperationHandle:
		process := append(messaging(o, "process"), msgSubscription.String(o.Subscription))
		if kind := errorTypeOf(r.Err); kind != "" {
			process = append(process, errorType.String(kind))
		}
		m.process.Record(ctx, took.Seconds(), metric.WithAttributes(process...))
	}
}

// recordLag records the ages of the changes that are handed over for the first time.
func (t *Telemetry) recordLag(ctx context.Context, o ropewalk.Operation, now time.Time) {
	for _, c := range o.Changes {
		if o.Attempt == 1 && !c.RecordedAt.IsZero() {
			t.metrics.lag.Record(ctx, max(now.Sub(c.RecordedAt), 0).Seconds(), metric.WithAttributes(msgSubscription.String(o.Subscription)))
		}
	}
}
