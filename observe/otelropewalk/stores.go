package otelropewalk

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"ropewalk/changeset"
	"ropewalk/head"
)

// request is one request to the storage.
type request struct {
	operation, collection, system string
	size                          int  // of a batch; 0 for a single item
	swap                          bool // it can commit
}

// send sends a request within a span. Logs and hints are not requests in this sense: they
// stay open for as long as a feed is followed.
func send[T any](ctx context.Context, t *Telemetry, r request, do func(context.Context) (T, error)) (T, error) {
	attributes := []attribute.KeyValue{dbSystem.String(r.system), dbOperation.String(r.operation), dbCollection.String(r.collection)}
	ctx, span := t.tracer.Start(ctx, r.operation+" "+r.collection, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if r.size > 1 {
		span.SetAttributes(dbBatchSize.Int(r.size))
	}
	defer span.End()
	tally, began := tallyOf(ctx), time.Now()
	tally.begin(r.swap)
	err := errPanicked
	defer func() {
		tally.end(r.swap && doubtful(err))
		if kind := errorTypeOf(err); kind != "" {
			attributes = append(attributes, errorType.String(kind))
			span.SetAttributes(errorType.String(kind))
			span.SetStatus(codes.Error, kind)
		}
		t.metrics.request.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attributes...))
	}()
	var got T
	got, err = do(ctx)
	return got, err
}

var errPanicked = errors.New("the request has panicked")

// moved counts bytes that were sent or received.
func (t *Telemetry) moved(ctx context.Context, direction string, all ...changeset.Changeset) {
	bytes := 0
	for _, c := range all {
		bytes += len(c.Body)
	}
	t.metrics.bytes.Add(ctx, int64(bytes), metric.WithAttributes(ioDirection.String(direction)))
}

// listing sends one request each time that it is ranged over.
func listing[T any](ctx context.Context, t *Telemetry, r request, inner func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		_, _ = send(ctx, t, r, func(ctx context.Context) (struct{}, error) {
			for v, err := range inner(ctx) {
				if !yield(v, err) || err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
	}
}

type changesets struct {
	changeset.PassThrough
	t *Telemetry
}

// Changesets returns a [changeset.Decorator] that makes a span and metrics of each request.
func (t *Telemetry) Changesets(inner changeset.Store) changeset.Store {
	return changesets{changeset.NewPassThrough(inner), t}
}

func (s changesets) request(operation string, size int) request {
	return request{operation: operation, collection: "changesets", system: s.t.options.ChangesetSystem, size: size}
}

func (s changesets) Put(ctx context.Context, c changeset.Changeset) error {
	_, err := send(ctx, s.t, s.request("put", 1), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.PassThrough.Put(ctx, c)
	})
	if err == nil {
		s.t.moved(ctx, "transmit", c)
	}
	return err
}

func (s changesets) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := send(ctx, s.t, s.request("get", 1), func(ctx context.Context) (changeset.Changeset, error) {
		return s.PassThrough.Get(ctx, ref, admission)
	})
	s.t.moved(ctx, "receive", c)
	return c, err
}

func (s changesets) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return s.PassThrough.GetMany(ctx, refs, admission) // stores send nothing then
	}
	all, err := send(ctx, s.t, s.request("get_many", len(refs)), func(ctx context.Context) ([]changeset.Changeset, error) {
		return s.PassThrough.GetMany(ctx, refs, admission)
	})
	s.t.moved(ctx, "receive", all...)
	return all, err
}

func (s changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return send(ctx, s.t, s.request("stat", 1), func(ctx context.Context) (changeset.Info, error) { return s.PassThrough.Stat(ctx, ref) })
}

func (s changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	_, err := send(ctx, s.t, s.request("delete", 1), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.PassThrough.Delete(ctx, ref)
	})
	return err
}

func (s changesets) Objects(ctx context.Context, id string) iter.Seq2[changeset.Object, error] {
	return listing(ctx, s.t, s.request("list", 1), func(ctx context.Context) iter.Seq2[changeset.Object, error] {
		return s.PassThrough.Objects(ctx, id)
	})
}

func (s changesets) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return listing(ctx, s.t, s.request("list_aggregates", 1), func(ctx context.Context) iter.Seq2[string, error] {
		return s.PassThrough.Aggregates(ctx, after)
	})
}

func (s changesets) Scan(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	if len(ids) == 0 {
		return s.PassThrough.Scan(ctx, ids, admission) // stores send nothing then
	}
	return listing(ctx, s.t, s.request("scan", len(ids)), func(ctx context.Context) iter.Seq2[changeset.Scanned, error] {
		return s.PassThrough.Scan(ctx, ids, admission)
	})
}

type heads struct {
	head.PassThrough
	t *Telemetry
}

// Heads returns a [head.Decorator] that makes a span and metrics of each request.
func (t *Telemetry) Heads(inner head.Store) head.Store { return heads{head.NewPassThrough(inner), t} }

func (s heads) request(operation string, size int, swap bool) request {
	return request{operation, "heads", s.t.options.HeadSystem, size, swap}
}

func (s heads) Load(ctx context.Context, id string) (head.Head, error) {
	return send(ctx, s.t, s.request("load", 1, false), func(ctx context.Context) (head.Head, error) { return s.PassThrough.Load(ctx, id) })
}

func (s heads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return send(ctx, s.t, s.request("load", 1, false), func(ctx context.Context) (head.Head, error) { return s.PassThrough.Refresh(ctx, seen) })
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return send(ctx, s.t, s.request("swap", 1, true), func(ctx context.Context) (head.Head, error) { return s.PassThrough.Swap(ctx, old, next) })
}

func (s heads) Commit(ctx context.Context, all []changeset.Changeset, old, next head.Head) (head.Head, error) {
	s.t.moved(ctx, "transmit", all...)
	return send(ctx, s.t, s.request("commit", 1, true), func(ctx context.Context) (head.Head, error) {
		return s.PassThrough.Commit(ctx, all, old, next)
	})
}

func (s heads) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	for _, e := range exchanges {
		if len(e.Changesets) > 0 {
			s.t.moved(ctx, "transmit", e.Changesets...)
		}
	}
	return send(ctx, s.t, s.request("swap_all", len(exchanges), true), func(ctx context.Context) ([]head.Head, error) {
		return s.PassThrough.SwapAll(ctx, exchanges)
	})
}

func (s heads) List(ctx context.Context, after string) iter.Seq2[head.Head, error] {
	return listing(ctx, s.t, s.request("list", 1, false), func(ctx context.Context) iter.Seq2[head.Head, error] {
		return s.PassThrough.List(ctx, after)
	})
}

func (s heads) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return listing(ctx, s.t, s.request("list_tags", 1, false), func(ctx context.Context) iter.Seq2[head.Tag, error] {
		return s.PassThrough.Tags(ctx, after)
	})
}

// Holds looks through the decorator of the changesets too.
func (s heads) Holds(store changeset.Store) bool {
	if own, ok := store.(changesets); ok && own.t == s.t {
		store = own.Unwrap()
	}
	return s.PassThrough.Holds(store)
}
