package otelropewalk

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The attributes, as docs/observability.md lists them.
const (
	aggregateID   = attribute.Key("ropewalk.aggregate.id")
	operationName = attribute.Key("ropewalk.operation.name")
	outcome       = attribute.Key("ropewalk.outcome")
	attempts      = attribute.Key("ropewalk.attempts")
	rounds        = attribute.Key("ropewalk.rounds")
	requests      = attribute.Key("ropewalk.requests")
	count         = attribute.Key("ropewalk.count")
	cacheResult   = attribute.Key("ropewalk.cache.result")

	errorType       = attribute.Key("error.type")
	dbSystem        = attribute.Key("db.system.name")
	dbOperation     = attribute.Key("db.operation.name")
	dbCollection    = attribute.Key("db.collection.name")
	dbBatchSize     = attribute.Key("db.operation.batch.size")
	ioDirection     = attribute.Key("network.io.direction")
	msgSystem       = attribute.Key("messaging.system")
	msgOperation    = attribute.Key("messaging.operation.name")
	msgType         = attribute.Key("messaging.operation.type")
	msgDestination  = attribute.Key("messaging.destination.name")
	msgSubscription = attribute.Key("messaging.destination.subscription.name")
	msgBatchCount   = attribute.Key("messaging.batch.message_count")
)

type metrics struct {
	duration, request, process, lag      metric.Float64Histogram
	rounds, requests                     metric.Int64Histogram
	bytes, conflicts, uncertain, orphans metric.Int64Counter
}

// seconds are the bounds that the semantic conventions recommend for requests. Operations
// take several, so that theirs go on to a minute.
var (
	seconds     = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
	longSeconds = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
	lagSeconds  = metric.WithExplicitBucketBoundaries(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 86400)
	small       = metric.WithExplicitBucketBoundaries(0, 1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 1024)
)

func newMetrics(m metric.Meter) (metrics, error) {
	var all []error
	histogram := func(name, about string, bounds metric.HistogramOption) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), bounds)
		all = append(all, err)
		return h
	}
	counts := func(name, unit, about string) metric.Int64Histogram {
		h, err := m.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(about), small)
		all = append(all, err)
		return h
	}
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		all = append(all, err)
		return c
	}
	out := metrics{
		duration:  histogram("ropewalk.operation.duration", "How long an operation took.", longSeconds),
		request:   histogram("db.client.operation.duration", "How long a request to the storage took.", seconds),
		process:   histogram("messaging.process.duration", "How long a handler of a subscription took.", longSeconds),
		lag:       histogram("ropewalk.subscription.lag", "Age of a change when it was handed to a handler.", lagSeconds),
		rounds:    counts("ropewalk.operation.rounds", "{round}", "Requests of an operation that waited for an earlier one, and the first."),
		requests:  counts("ropewalk.operation.requests", "{request}", "Requests of an operation."),
		bytes:     counter("ropewalk.storage.io", "By", "Stored bytes of the changesets that were sent and received."),
		conflicts: counter("ropewalk.conflicts", "{conflict}", "Appends and commits that were refused for good."),
		uncertain: counter("ropewalk.uncertain_outcomes", "{outcome}", "Appends, commits and settlements whose outcome stayed unknown."),
		orphans:   counter("ropewalk.orphans", "{object}", "Orphans that the collection has found, and that no swap can commit."),
	}
	return out, errors.Join(all...)
}
