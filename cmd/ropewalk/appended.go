package main

import (
	"context"

	"ropewalk"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// appendedJSON is what append and settle print with --json: one object for
// each changeset of an append that is committed.
type appendedJSON struct {
	ui.Kind
	Ref        string `json:"ref"`
	Aggregate  string `json:"aggregate"`
	Version    uint64 `json:"version"`
	ID         string `json:"id"`
	ETag       string `json:"etag"`
	Digest     string `json:"digest"`
	RecordedAt string `json:"recorded_at"`
}

// printAppended prints the changesets after the head up to newest. A single
// changeset is known from the head; more are looked up. If the lookup fails, the
// last one is printed: all are committed.
func (a *app) printAppended(ctx context.Context, s *store, after, newest head.Head) error {
	first := uint64(0)
	if after.Exists() {
		first = after.Version + 1
	}
	if first == newest.Version {
		return a.printAppendedOne(newest)
	}
	for h, err := range s.Chain(newest.AggregateID).ReaderAt(newest).Headers(ctx, ropewalk.Range{First: first, Last: newest.Version}) {
		if err != nil {
			a.Warn("all is committed, but not all references could be read: %v", err)
			return a.printAppendedOne(newest)
		}
		if err := a.printAppendedOne(head.At(h)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printAppendedOne(h head.Head) error {
	if !a.JSON {
		return a.Unread(a.Print("%s\n", h.Ref), "%s is committed", h.Ref)
	}
	return a.Unread(a.Emit(appendedJSON{
		Kind: ui.KindOf("appended"), Ref: h.Ref.String(), Aggregate: h.AggregateID, Version: h.Version, ID: h.ID.String(),
		ETag: h.ETag(), Digest: h.Digest.String(), RecordedAt: changeset.FormatTime(h.UpdatedAt),
	}), "%s is committed", h.Ref)
}
