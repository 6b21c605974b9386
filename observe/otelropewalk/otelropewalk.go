// Package otelropewalk gives a store OpenTelemetry: spans and metrics of its operations and
// of the requests that they take.
//
//	telemetry, err := otelropewalk.New(nil)
//	store := telemetry.Store(db, db, nil)
//
// The names, attributes and units are in docs/observability.md, which a test holds to what
// is emitted. They follow the semantic conventions of OpenTelemetry for databases (stable)
// and for messaging (in development) where these have a name for it. Neither spans nor
// metrics have content; spans have aggregate IDs, metrics have none.
package otelropewalk

import (
	"cmp"
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"ropewalk"
	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/head"
)

// scope is the name of the instrumentation.
const scope = "ropewalk"

// Options are the settings of a [Telemetry]. Zero values stand for the defaults.
type Options struct {
	// TracerProvider makes the spans; by default the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics; by default the global one.
	MeterProvider metric.MeterProvider
	// ChangesetSystem and HeadSystem are the db.system.name of requests for objects and
	// for heads, such as aws.dynamodb and sqlite; "ropewalk" by default.
	ChangesetSystem, HeadSystem string
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	if out.TracerProvider == nil {
		out.TracerProvider = otel.GetTracerProvider()
	}
	if out.MeterProvider == nil {
		out.MeterProvider = otel.GetMeterProvider()
	}
	out.ChangesetSystem = cmp.Or(out.ChangesetSystem, scope)
	out.HeadSystem = cmp.Or(out.HeadSystem, scope)
	return out
}

// Telemetry is a [ropewalk.Observer] that makes spans and metrics. It is safe for concurrent
// use, and needs no closing; the providers do.
type Telemetry struct {
	tracer  trace.Tracer
	meter   metric.Meter
	metrics metrics
	options Options
}

var _ ropewalk.Observer = (*Telemetry)(nil)

// New returns a telemetry. Its error is the error of the meter, which refuses an
// instrument. Nil options stand for the defaults.
func New(options *Options) (*Telemetry, error) {
	o := options.withDefaults()
	t := &Telemetry{tracer: o.TracerProvider.Tracer(scope), meter: o.MeterProvider.Meter(scope), options: o}
	var err error
	t.metrics, err = newMetrics(t.meter)
	return t, err
}

// Store is [ropewalk.New] with this telemetry as its observer and around both stores. A
// cache or a hedge in front of the changesets belongs in changesets: what it answers without
// the storage is then counted as a request too. To count only what reaches the storage, use
// [Telemetry.Changesets] within the cache, and [ropewalk.New].
func (t *Telemetry) Store(changesets changeset.Store, heads head.Store, options *ropewalk.Options) *ropewalk.Store {
	o := *cmp.Or(options, &ropewalk.Options{})
	o.Observer = t
	return ropewalk.New(t.Changesets(changesets), t.Heads(heads), &o)
}

// Cache counts the hits and misses of a cache, until stop is called.
func (t *Telemetry) Cache(c *cache.Cache) (stop func() error, err error) {
	counter, err := t.meter.Int64ObservableCounter("ropewalk.cache.lookups", metric.WithUnit("{changeset}"),
		metric.WithDescription("Changesets and headers that were looked up in a cache."))
	if err != nil {
		return nil, err
	}
	registered, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := c.Stats()
		o.ObserveInt64(counter, s.Memory, metric.WithAttributes(cacheResult.String("memory")))
		o.ObserveInt64(counter, s.Disk, metric.WithAttributes(cacheResult.String("disk")))
		o.ObserveInt64(counter, s.Misses, metric.WithAttributes(cacheResult.String("miss")))
		return nil
	}, counter)
	if err != nil {
		return nil, err
	}
	return registered.Unregister, nil
}
