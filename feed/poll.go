package feed

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"ropewalk/head"
	"ropewalk/internal/pause"
)

// listing is the source for backends that have none: it goes through all heads,
// again and again. If the backend can list tags, it reports the tags, and the relay
// loads only the heads whose tags have changed. If not, it reports the heads.
type listing struct {
	heads  head.Store
	tagger head.Tagger // nil if the backend has no tags
	every  time.Duration
}

func (l listing) name() string { return "listing" }

// listingCursor is the cursor of every page: a listing begins at the start.
var listingCursor = json.RawMessage(`"start"`)

func (l listing) hints(ctx context.Context, _ json.RawMessage) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		for {
			for p, err := range l.once(ctx) {
				p.cursor = listingCursor
				if !yield(p, err) || err != nil {
					return
				}
			}
			if err := pause.Sleep(ctx, l.every); err != nil {
				yield(page{}, err)
				return
			}
		}
	}
}

// once goes through all heads once.
func (l listing) once(ctx context.Context) iter.Seq2[page, error] {
	if l.tagger == nil {
		return sweep(ctx, l.heads)
	}
	return paged(func(yield func(pending, error) bool) {
		for t, err := range l.tagger.Tags(ctx, "") {
			if !yield(pending{Hint: head.Hint{AggregateID: t.AggregateID}, tag: tagOf(t.Tag)}, err) {
				return
			}
		}
	})
}
