package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// logger returns the log of --verbose, on stderr, without secrets.
func (a *app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			if kind := attr.Value.Kind(); kind == slog.KindString || kind == slog.KindAny {
				attr.Value = slog.StringValue(a.Redacted(attr.Value.String()))
			}
			return attr
		},
	}))
}

// logged returns both seams with a log line for each request: what was asked
// of which object, how long it took, and how it ended. Contents are not logged.
// It only observes: it has every optional method of a storage, and answers as
// the storage does where that lacks one, so that the same requests are made.
func logged(log *slog.Logger, o objects, h heads) (objects, heads) {
	requests := requestLog{log}
	return loggedObjects{requests, o}, loggedHeads{requests, h}
}

type requestLog struct{ log *slog.Logger }

// request logs one request that began at start.
func (l requestLog) request(ctx context.Context, op, what string, start time.Time, err error) {
	outcome := "ok"
	if err != nil {
		outcome = ui.OneLine(err.Error())
	}
	l.log.DebugContext(ctx, "request", "op", op, "what", what, "took", time.Since(start).Round(time.Microsecond), "outcome", outcome)
}

// listing logs a listing when it ends: its pages are one request each, which
// the seam does not report.
func listing[T any](ctx context.Context, l requestLog, op, what string, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		start := time.Now()
		var failure error
		defer func() { l.request(ctx, op, what, start, failure) }()
		for item, err := range inner {
			failure = err
			if !yield(item, err) {
				return
			}
		}
	}
}

type loggedObjects struct {
	requestLog
	objects
}

func (s loggedObjects) Put(ctx context.Context, c changeset.Changeset) error {
	start := time.Now()
	err := s.objects.Put(ctx, c)
	s.request(ctx, "put", c.Ref.String(), start, err)
	return err
}

func (s loggedObjects) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	start := time.Now()
	c, err := s.objects.Get(ctx, ref)
	s.request(ctx, "get", ref.String(), start, err)
	return c, err
}

func (s loggedObjects) GetMany(ctx context.Context, refs []changeset.Ref) ([]changeset.Changeset, error) {
	many, ok := changeset.Many(s.objects)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if len(refs) == 0 {
		return nil, nil
	}
	start := time.Now()
	found, err := many.GetMany(ctx, refs)
	s.request(ctx, "get-many", fmt.Sprintf("%s and %d more", refs[0], len(refs)-1), start, err)
	return found, err
}

// Unwrap returns the storage, so that a commit is known to put changesets there.
func (s loggedObjects) Unwrap() changeset.Store { return s.objects }

func (s loggedObjects) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	start := time.Now()
	info, err := s.objects.Stat(ctx, ref)
	s.request(ctx, "stat", ref.String(), start, err)
	return info, err
}

func (s loggedObjects) Delete(ctx context.Context, ref changeset.Ref) error {
	start := time.Now()
	err := s.objects.Delete(ctx, ref)
	s.request(ctx, "delete", ref.String(), start, err)
	return err
}

func (s loggedObjects) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return listing(ctx, s.requestLog, "list", aggregateID, s.objects.Objects(ctx, aggregateID))
}

func (s loggedObjects) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return listing(ctx, s.requestLog, "list-aggregates", after, s.objects.Aggregates(ctx, after))
}

type loggedHeads struct {
	requestLog
	heads
}

func (s loggedHeads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	start := time.Now()
	h, err := s.heads.Load(ctx, aggregateID)
	s.request(ctx, "load-head", aggregateID, start, err)
	return h, err
}

func (s loggedHeads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	start := time.Now()
	h, err := s.heads.Swap(ctx, old, next)
	s.request(ctx, "swap-head", next.Ref.String(), start, err)
	return h, err
}

func (s loggedHeads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return listing(ctx, s.requestLog, "list-heads", cursor, s.heads.List(ctx, cursor))
}

// Refresh does what Load does where the storage cannot refresh.
func (s loggedHeads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	refresher, ok := s.heads.(head.Refresher)
	if !ok {
		return s.Load(ctx, seen.AggregateID)
	}
	start := time.Now()
	h, err := refresher.Refresh(ctx, seen)
	s.request(ctx, "refresh-head", seen.AggregateID, start, err)
	return h, err
}

func (s loggedHeads) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	combined, ok := s.heads.(head.Combined)
	if !ok {
		return head.Head{}, &head.NotApplied{Err: errors.ErrUnsupported}
	}
	start := time.Now()
	h, err := combined.Commit(ctx, changesets, old, next)
	s.request(ctx, "commit", next.Ref.String(), start, err)
	return h, err
}

// Holds reports false where the storage commits in two steps.
func (s loggedHeads) Holds(changesets changeset.Store) bool {
	combined, ok := s.heads.(head.Combined)
	if own, is := changesets.(loggedObjects); is {
		changesets = own.objects
	}
	return ok && combined.Holds(changesets)
}
