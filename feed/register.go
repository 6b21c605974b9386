package feed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// registration is the content of a changeset of the register, the chain whose
// newest changeset names the feed.
type registration struct {
	Format int `json:"format"`
	// Generation names the chain of the feed: 16 hexadecimal digits, or "none" if
	// the feed was dropped.
	Generation string `json:"generation"`
	// Source is the name of the source that the cursors are for.
	Source string `json:"source,omitempty"`
	// Dropped is the generation that was dropped, so that its erasure can be
	// finished.
	Dropped string `json:"dropped,omitempty"`
}

const noGeneration = "none"

func (f *Feed) register() *ropewalk.Chain { return f.store.Chain(reserved.Register) }

// registered returns the newest registration and the head of the register. If
// nothing was ever registered, it is the registration of no feed.
func (f *Feed) registered(ctx context.Context) (registration, head.Head, error) {
	none := registration{Generation: noGeneration}
	h, err := f.register().Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		return none, head.Head{}, nil
	}
	if err != nil {
		return none, h, err
	}
	newest, err := f.register().ReaderAt(h).At(ctx, h.Version)
	if err != nil {
		return none, h, err
	}
	r, err := parseRegistration(newest)
	return r, h, err
}

func parseRegistration(c changeset.Changeset) (r registration, err error) {
	if err := json.Unmarshal(c.Content, &r); err != nil {
		return r, &changeset.CorruptError{Ref: c.Ref, Reason: "it does not name a feed: " + err.Error()}
	}
	if r.Format > formatOfBatches {
		return r, fmt.Errorf("%s: %w: it names a feed of format %d, this version reads %d", c.Ref, changeset.ErrUnsupportedFormat, r.Format, formatOfBatches)
	}
	if _, err := hex.DecodeString(r.Generation); (err != nil || len(r.Generation) != 16) && r.Generation != noGeneration {
		return r, &changeset.CorruptError{Ref: c.Ref, Reason: fmt.Sprintf("it names a feed by %.40q", r.Generation)}
	}
	return r, nil
}

// generation returns the generation of the present feed, or ErrNoFeed.
func (f *Feed) generation(ctx context.Context) (string, error) {
	r, _, err := f.registered(ctx)
	if err == nil && r.Generation == noGeneration {
		err = ErrNoFeed
	}
	return r.Generation, err
}

// registerNew registers a new generation if the store has no feed, and returns the
// present one. Relays may race to do so: one wins, and all get its generation.
func (f *Feed) registerNew(ctx context.Context, source string) (registration, error) {
	for {
		r, h, err := f.registered(ctx)
		if err != nil || r.Generation != noGeneration {
			return r, err
		}
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		fresh := registration{Format: formatOfBatches, Generation: hex.EncodeToString(random[:]), Source: source}
		err = f.registerAs(ctx, h, fresh)
		if _, lost := errors.AsType[*ropewalk.ConflictError](err); !lost {
			return fresh, err
		}
	}
}

func (f *Feed) registerAs(ctx context.Context, after head.Head, r registration) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = f.register().Append(reserved.Open(ctx), after, ropewalk.Draft{Content: content, ContentType: "application/json"})
	return err
}
