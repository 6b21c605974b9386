package otelropewalk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/observe/otelropewalk"
)

// scene is a store with telemetry, whose requests a script lets fail.
type scene struct {
	*testing.T
	telemetry *otelropewalk.Telemetry
	spans     *tracetest.InMemoryExporter
	tracers   *sdktrace.TracerProvider
	reader    *sdkmetric.ManualReader
	memory    *memstore.Store
	script    *faults.Script
	store     *ropewalk.Store
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(), memory: memstore.New(), script: &faults.Script{}}
	s.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))
	var err error
	s.telemetry, err = otelropewalk.New(&otelropewalk.Options{
		TracerProvider: s.tracers, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)),
		ChangesetSystem: "aws.s3", HeadSystem: "aws.dynamodb",
	})
	require.NoError(t, err)
	// Put and swap are two steps, and there is no log, as in a cloud.
	steps := faults.TwoSteps(s.memory)
	together, ok := head.As[head.Transactor](steps)
	require.True(t, ok)
	s.store = s.telemetry.Store(s.script.Changesets(s.memory), s.script.Heads(noLog{steps, together}), &ropewalk.Options{SettleTimeout: time.Second})
	return s
}

// noLog are heads that can be swapped together, and have no log.
type noLog struct {
	head.Store
	head.Transactor
}

// everything provokes every operation with every outcome that it has.
func (s *scene) everything() {
	s.appends()
	s.several()
	s.reads()
	s.feed()
	s.collects()
}

func draft() ropewalk.Draft { return ropewalk.Draft{Content: []byte("content")} }

// appends are committed, settled, refused, uncertain, and invalid.
func (s *scene) appends() {
	ctx, chain := s.Context(), s.store.Chain("order-1")
	first, err := chain.Create(ctx, draft())
	require.NoError(s, err)
	s.script.Next(faults.Swap, faults.Fault{Kind: faults.Lost})
	h, err := chain.Append(ctx, first, draft())
	require.NoError(s, err)
	_, err = chain.Append(ctx, first, draft())
	require.ErrorIs(s, err, ropewalk.ErrConflict)
	_, err = chain.Append(ctx, h)
	require.ErrorIs(s, err, ropewalk.ErrInvalidDraft)
	_, err = chain.Settle(ctx, h.Ref, first.Revision)
	require.NoError(s, err)

	s.script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	_, err = chain.Append(ctx, h, draft())
	uncertain, ok := errors.AsType[*ropewalk.UncertainError](err)
	require.True(s, ok, err)
	_, err = chain.Settle(ctx, uncertain.Ref, uncertain.AfterRevision)
	require.ErrorIs(s, err, ropewalk.ErrUncertain)
	s.script.Reset()
	_, err = chain.Settle(ctx, uncertain.Ref, uncertain.AfterRevision)
	require.ErrorIs(s, err, ropewalk.ErrConflict)
}

// several are updates, and commits of two aggregates.
func (s *scene) several() {
	ctx := s.Context()
	_, err := s.store.Chain("order-1").Update(ctx, func(context.Context, *ropewalk.Reader) ([]ropewalk.Draft, error) {
		return []ropewalk.Draft{draft()}, nil
	})
	require.NoError(s, err)
	_, err = s.store.Chain("order-1").Update(ctx, func(context.Context, *ropewalk.Reader) ([]ropewalk.Draft, error) { return nil, nil })
	require.NoError(s, err)
	a, b := s.store.Chain("order-2"), s.store.Chain("order-3")
	_, err = s.store.Commit(ctx, a.Appending(ropewalk.Head{}, draft()), b.Appending(ropewalk.Head{}, draft()))
	require.NoError(s, err)
	_, err = s.store.Commit(ctx, a.Appending(ropewalk.Head{}, draft()), b.Appending(ropewalk.Head{}, draft()))
	require.ErrorIs(s, err, ropewalk.ErrConflict)
}

// reads are whole, broken off, and of an object that is gone.
func (s *scene) reads() {
	ctx := s.Context()
	read := func() error {
		r, err := s.store.Chain("order-1").Reader(ctx)
		require.NoError(s, err)
		_, err = ropewalk.Collect(r.All(ctx))
		return err
	}
	require.NoError(s, read())
	s.script.Next(faults.GetMany, faults.Fault{Kind: faults.Refused})
	s.script.Next(faults.Get, faults.Fault{Kind: faults.Refused})
	_ = read() // a reader tries again by other requests
	s.script.Reset()

	cached, err := cache.New(s.telemetry.Changesets(s.memory), nil)
	require.NoError(s, err)
	_, err = s.telemetry.Cache(cached)
	require.NoError(s, err)
	for range 2 {
		r, err := ropewalk.New(cached, s.memory, nil).Chain("order-1").Reader(ctx)
		require.NoError(s, err)
		_, err = ropewalk.Collect(r.All(ctx))
		require.NoError(s, err)
	}
}

// feed relays all changes, and hands them to a handler that fails once.
func (s *scene) feed() {
	f := feed.Open(s.store, nil)
	_, err := f.Relay(nil).Once(s.Context())
	require.NoError(s, err)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	calls := 0
	err = f.Subscription("mail", &feed.SubscriptionOptions{Retries: feed.Forever}).Run(ctx, func(context.Context, feed.Change) error {
		if calls++; calls == 1 {
			return errors.New("the mail server is away")
		}
		cancel()
		return nil
	})
	require.NoError(s, err)
	require.GreaterOrEqual(s, calls, 2)
}

// collects the objects that lost their races.
func (s *scene) collects() {
	time.Sleep(30 * 24 * time.Hour) // virtual: the grace is over
	deleter, ok := changeset.As[gc.Changesets](s.telemetry.Changesets(s.memory))
	require.True(s, ok)
	for r, err := range gc.New(deleter, s.telemetry.Heads(s.memory), &gc.Options{Observer: s.telemetry, Delete: true}).CollectAll(s.Context(), "") {
		require.NoError(s, err)
		require.NoError(s, r.Err)
	}
}

// metrics returns all that the meters have.
func (s *scene) metrics() (all []metricdata.Metrics) {
	var data metricdata.ResourceMetrics
	require.NoError(s, s.reader.Collect(context.Background(), &data))
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}

// inBubble runs a test with a scene in virtual time.
func inBubble(t *testing.T, test func(*scene)) {
	synctest.Test(t, func(t *testing.T) { test(newScene(t)) })
}
