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
		e := endingOf(o.Name, r, tally.counts())
		endSpan(span, o, e)
		t.record(ctx, o, e, time.Since(began))
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

// ending is what is known when an operation has ended.
type ending struct {
	counts
	count              int
	outcome, errorType string // the type is empty without an error
}

func endingOf(o ropewalk.OperationName, r ropewalk.Result, c counts) ending {
	return ending{c, r.Count, outcomeOf(o, r.Err, c), errorTypeOf(r.Err)}
}

// endSpan ends a span.
func endSpan(span trace.Span, o ropewalk.Operation, e ending) {
	defer span.End()
	span.SetAttributes(outcome.String(e.outcome), rounds.Int(e.rounds), requests.Int(e.requests), count.Int(e.count))
	if writes(o.Name) {
		span.SetAttributes(attempts.Int(e.swaps))
	}
	if e.errorType != "" {
		span.SetAttributes(errorType.String(e.errorType))
		span.SetStatus(codes.Error, e.errorType)
	}
}

// record records the metrics of an operation that has ended.
func (t *Telemetry) record(ctx context.Context, o ropewalk.Operation, e ending, took time.Duration) {
	m, name := &t.metrics, operationName.String(string(o.Name))
	attributes := []attribute.KeyValue{name, outcome.String(e.outcome)}
	if e.errorType != "" {
		attributes = append(attributes, errorType.String(e.errorType))
	}
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributes(attributes...))
	m.rounds.Record(ctx, int64(e.rounds), metric.WithAttributes(name))
	m.requests.Record(ctx, int64(e.requests), metric.WithAttributes(name))
	single := writes(o.Name) && o.Name != ropewalk.OperationUpdate // its appends are counted already
	switch {
	case single && e.outcome == outcomeConflict:
		m.conflicts.Add(ctx, 1, metric.WithAttributes(name))
	case single && e.outcome == outcomeUncertain:
		m.uncertain.Add(ctx, 1, metric.WithAttributes(name))
	case o.Name == ropewalk.OperationCollect && e.count > 0:
		m.orphans.Add(ctx, int64(e.count))
	case o.Name == ropewalk.OperationHandle:
		process := append(messaging(o, "process"), msgSubscription.String(o.Subscription))
		if e.errorType != "" {
			process = append(process, errorType.String(e.errorType))
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
