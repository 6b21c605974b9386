package feed

import (
	"context"
	"encoding/json"
	"iter"
	"sync"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/reserved"
)

// source is a source of hints, the backend's own or a repeated sweep.
type source interface {
	name() string
	hints(ctx context.Context, cursor json.RawMessage) iter.Seq2[page, error]
}

// page is a page of hints.
type page struct {
	hints    []pending
	cursor   json.RawMessage
	lost     bool
	caughtUp bool
	err      error // the last of a stream of pages
}

// pending is a hint that waits to be judged.
type pending struct {
	head.Hint
	tag uint32
	// swept means that the record is not of the past: a sweep has read it.
	swept bool
}

// backendSource is the source that a backend implements.
type backendSource struct{ head.Source }

func (s backendSource) name() string { return s.SourceName() }

func (s backendSource) hints(ctx context.Context, cursor json.RawMessage) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		for p, err := range s.Hints(ctx, cursor) {
			hints := make([]pending, len(p.Hints))
			for i, h := range p.Hints {
				hints[i] = pending{Hint: h}
			}
			if !yield(page{hints: hints, cursor: p.Cursor, lost: p.Lost, caughtUp: p.CaughtUp}, err) {
				return
			}
		}
	}
}

// still is a source that has no hints, and one cursor.
type still struct {
	named  string
	cursor json.RawMessage
}

func (s still) name() string { return s.named }

func (s still) hints(ctx context.Context, _ json.RawMessage) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		if yield(page{cursor: s.cursor, caughtUp: true}, nil) {
			<-ctx.Done()
		}
	}
}

// stream sends the pages of a sequence to the returned channel, until the context
// ends. An error comes as the last page.
func stream(ctx context.Context, running *sync.WaitGroup, pages iter.Seq2[page, error]) <-chan page {
	out := make(chan page)
	running.Go(func() {
		defer close(out)
		for p, err := range pages {
			p.err = err
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	return out
}

// sweepPage is how many heads a page of a sweep has. Only tests change it.
var sweepPage = 256

// sweep yields a hint for every head, and a last page that is caughtUp.
func sweep(ctx context.Context, heads head.Store) iter.Seq2[page, error] {
	return paged(func(yield func(pending, error) bool) {
		for e, err := range headlist.All(ctx, heads, "") {
			if !yield(pending{Hint: head.Hint{AggregateID: e.AggregateID, Head: e.Head}, swept: true}, err) {
				return
			}
		}
	})
}

// paged yields hints in pages, without the library's own chains. The last page is
// caughtUp.
func paged(hints iter.Seq2[pending, error]) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		var p page
		for h, err := range hints {
			if err != nil {
				yield(page{}, err)
				return
			}
			if reserved.Is(h.AggregateID) {
				continue
			}
			p.hints = append(p.hints, h)
			if len(p.hints) == sweepPage {
				if !yield(p, nil) {
					return
				}
				p = page{}
			}
		}
		p.caughtUp = true
		yield(p, nil)
	}
}

// unreadHints returns hints for aggregates that could not be read before.
func unreadHints(aggregateIDs []string) []pending {
	var hints []pending
	for _, id := range aggregateIDs {
		if changeset.ValidateAggregateID(id) == nil {
			hints = append(hints, pending{Hint: head.Hint{AggregateID: id}})
		}
	}
	return hints
}
