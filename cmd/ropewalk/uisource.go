package main

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"strings"
	"time"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

// uiSource answers the pages of ui from a store, as the other commands answer.
type uiSource struct {
	store *store
	std   *ui.Streams
	url   string // of the store
}

// Heads lists aggregates as ls does, with the erased ones and the damaged heads.
func (u *uiSource) Heads(ctx context.Context, prefix, after string, limit int) (inspector.Heads, error) {
	var out inspector.Heads
	for e, err := range headlist.All(ctx, u.store.heads, after) {
		switch {
		case err != nil:
			return out, err
		case hidden(e.AggregateID, false) || !strings.HasPrefix(e.AggregateID, prefix) || e.Head.State == head.Void:
			continue
		case len(out.Items) == limit:
			out.After = string(out.Items[limit-1].ID)
			return out, nil
		}
		out.Items = append(out.Items, u.head(e))
	}
	return out, nil
}

func (u *uiSource) head(e headlist.Entry) inspector.Head {
	if e.Fault != nil {
		return inspector.Head{ID: inspector.Text(e.AggregateID), Fault: inspector.Text(u.std.Message(e.Fault))}
	}
	return inspector.Head{
		ID: inspector.Text(e.AggregateID), Version: e.Head.Version, Updated: ui.Seconds(e.Head.UpdatedAt), State: string(e.Head.State),
	}
}

// Feed shows what feed status and subscriptions show.
func (u *uiSource) Feed(ctx context.Context) (inspector.Feed, error) {
	var out inspector.Feed
	f := u.store.feed()
	status, err := f.Status(ctx)
	if err != nil {
		out.Problem = u.failure(ctx, err)
	} else {
		out.Behind = status.Unfed
		for name, value := range statusFields(status, time.Now()) {
			out.Fields = append(out.Fields, inspector.Field{Name: name, Value: inspector.Text(value)})
		}
	}
	all, err := measureAll(ctx, f)
	if err != nil && out.Problem == nil {
		out.Ended = u.failure(ctx, err)
	}
	for _, s := range all {
		out.Subscriptions = append(out.Subscriptions, u.subscription(ctx, s))
	}
	return out, nil
}

func (u *uiSource) subscription(ctx context.Context, s standing) inspector.Subscription {
	row := s.row()
	out := inspector.Subscription{
		Name: inspector.Text(row[0]), Lag: inspector.Text(row[1]), Oldest: inspector.Text(row[2]),
		Owner: inspector.Text(row[4]), Position: inspector.Text(row[5]), Late: s.lag.Changes > 0, Problem: u.failure(ctx, s.lagErr),
	}
	for _, p := range s.Parked {
		out.Parked = append(out.Parked, inspector.Text(parkedText(p)))
	}
	return out
}

// Follow yields changes as watch prints them.
func (u *uiSource) Follow(ctx context.Context, id, position string) iter.Seq2[inspector.Change, error] {
	return func(yield func(inspector.Change, error) bool) {
		f := feed.Open(u.store.Store, &feed.Options{Logger: u.store.log, Only: watched{id: id}.only()})
		from, err := followedFrom(ctx, f, position)
		if err != nil {
			yield(inspector.Change{}, err)
			return
		}
		for c, err := range f.Follow(ctx, from) {
			if !yield(newUIChange(c), err) || err != nil {
				return
			}
		}
	}
}

// followedFrom returns a position that was given, or the end of the feed.
func followedFrom(ctx context.Context, f *feed.Feed, position string) (feed.Position, error) {
	if position == "" {
		return f.End(ctx)
	}
	p, err := feed.ParsePosition(position)
	if err != nil {
		err = cliexit.Wrap(cliexit.Usage, err)
	}
	return p, err
}

func newUIChange(c feed.Change) inspector.Change {
	out := inspector.Change{Aggregate: c.AggregateID, Ref: c.Ref.String(), Position: c.Position.String(), Erased: c.Erased}
	if c.Erased {
		out.Type = "erased"
		return out
	}
	out.Recorded, out.Size, out.Type = ui.Seconds(c.RecordedAt), ui.ByteSize(c.BodySize), c.ContentType
	return out
}

// uiStatuses are the HTTP statuses of errors by exit code; other errors have 500.
var uiStatuses = map[int]int{
	cliexit.Usage.Exit: http.StatusBadRequest, cliexit.NotFound.Exit: http.StatusNotFound,
	cliexit.Conflict.Exit: http.StatusGone, cliexit.Storage.Exit: http.StatusBadGateway,
}

// Explain returns an error as a command reports it.
func (u *uiSource) Explain(ctx context.Context, err error) inspector.Failure {
	status := cmp.Or(uiStatuses[cliexit.Classify(ctx, err).Exit], http.StatusInternalServerError)
	hint := u.std.Redacted(cmp.Or(hintFor(err), cliexit.SilentHint(err, u.url)))
	return inspector.Failure{Status: status, Message: inspector.Text(u.std.Message(err)), Hint: inspector.Text(hint)}
}

// failure returns nil for no error.
func (u *uiSource) failure(ctx context.Context, err error) *inspector.Failure {
	if err == nil {
		return nil
	}
	f := u.Explain(ctx, err)
	return &f
}
