package location

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// NewLogger returns the log of --verbose, without times. Redact removes secrets
// from its values.
func NewLogger(w io.Writer, redact func(text string) string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			if kind := attr.Value.Kind(); kind == slog.KindString || kind == slog.KindAny {
				attr.Value = slog.StringValue(redact(attr.Value.String()))
			}
			return attr
		},
	}))
}

// Logged returns both stores with a log line for each request: its operation
// and object, how long it took, and how it ended. Content is not logged.
// It only observes: the same requests are made.
func Logged(log *slog.Logger, o Objects, h Heads) (Objects, Heads) {
	requests := requestLog{log}
	return loggedObjects{changeset.NewPassThrough(o), requests}, loggedHeads{head.NewPassThrough(h), requests}
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

// listing logs a listing when it ends. Each page of it is a request, which the
// interface does not report.
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

// pages logs each page of a sequence that may go on for long, when it has come.
func pages[T any](ctx context.Context, l requestLog, op string, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		start := time.Now()
		for page, err := range inner {
			l.request(ctx, op, "", start, err)
			if !yield(page, err) {
				return
			}
			start = time.Now()
		}
	}
}

type loggedObjects struct {
	changeset.PassThrough
	requestLog
}

func (s loggedObjects) Put(ctx context.Context, c changeset.Changeset) error {
	start := time.Now()
	err := s.PassThrough.Put(ctx, c)
	s.request(ctx, "put", c.Ref.String(), start, err)
	return err
}

func (s loggedObjects) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	start := time.Now()
	c, err := s.PassThrough.Get(ctx, ref, admission)
	s.request(ctx, "get", ref.String(), start, err)
	return c, err
}

func (s loggedObjects) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	start := time.Now()
	found, err := s.PassThrough.GetMany(ctx, refs, admission)
	s.request(ctx, "get-many", fmt.Sprintf("%s and %d more", refs[0], len(refs)-1), start, err)
	return found, err
}

func (s loggedObjects) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	start := time.Now()
	info, err := s.PassThrough.Stat(ctx, ref)
	s.request(ctx, "stat", ref.String(), start, err)
	return info, err
}

func (s loggedObjects) Delete(ctx context.Context, ref changeset.Ref) error {
	start := time.Now()
	err := s.PassThrough.Delete(ctx, ref)
	s.request(ctx, "delete", ref.String(), start, err)
	return err
}

func (s loggedObjects) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return listing(ctx, s.requestLog, "list", aggregateID, s.PassThrough.Objects(ctx, aggregateID))
}

func (s loggedObjects) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	inner := s.PassThrough.Scan(ctx, aggregateIDs, admission)
	if len(aggregateIDs) == 0 {
		return inner
	}
	return listing(ctx, s.requestLog, "scan", fmt.Sprintf("%s and %d more", aggregateIDs[0], len(aggregateIDs)-1), inner)
}

func (s loggedObjects) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return listing(ctx, s.requestLog, "list-aggregates", after, s.PassThrough.Aggregates(ctx, after))
}

type loggedHeads struct {
	head.PassThrough
	requestLog
}

func (s loggedHeads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	start := time.Now()
	h, err := s.PassThrough.Load(ctx, aggregateID)
	s.request(ctx, "load-head", aggregateID, start, err)
	return h, err
}

func (s loggedHeads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	start := time.Now()
	h, err := s.PassThrough.Swap(ctx, old, next)
	s.request(ctx, "swap-head", next.Ref.String(), start, err)
	return h, err
}

func (s loggedHeads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return listing(ctx, s.requestLog, "list-heads", cursor, s.PassThrough.List(ctx, cursor))
}

func (s loggedHeads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	start := time.Now()
	h, err := s.PassThrough.Refresh(ctx, seen)
	s.request(ctx, "refresh-head", seen.AggregateID, start, err)
	return h, err
}

func (s loggedHeads) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	start := time.Now()
	h, err := s.PassThrough.Commit(ctx, changesets, old, next)
	s.request(ctx, "commit", next.Ref.String(), start, err)
	return h, err
}

func (s loggedHeads) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	start := time.Now()
	heads, err := s.PassThrough.SwapAll(ctx, exchanges)
	what := ""
	if n := len(exchanges); n > 0 {
		what = fmt.Sprintf("%s and %d more", exchanges[0].AggregateID, n-1)
	}
	s.request(ctx, "swap-heads", what, start, err)
	return heads, err
}

func (s loggedHeads) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return listing(ctx, s.requestLog, "list-tags", after, s.PassThrough.Tags(ctx, after))
}

func (s loggedHeads) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return pages(ctx, s.requestLog, "read-log", s.PassThrough.Entries(ctx, from, follow))
}

func (s loggedHeads) LogEnd(ctx context.Context) (head.LogPosition, error) {
	start := time.Now()
	end, err := s.PassThrough.LogEnd(ctx)
	s.request(ctx, "end-of-log", "", start, err)
	return end, err
}

func (s loggedHeads) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return pages(ctx, s.requestLog, "read-hints", s.PassThrough.Hints(ctx, cursor))
}
