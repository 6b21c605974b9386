package main

import (
	"context"

	"ropewalk"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// appendedJSON is a changeset of a committed append with --json. append and settle
// print it.
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

// printAppended prints the changesets after the head up to newest. The head has
// everything about a single changeset; several are looked up. If the lookup fails,
// it prints the last changeset and warns: all are committed.
func printAppended(ctx context.Context, std *ui.Streams, s *store, after, newest head.Head) error {
	first := uint64(0)
	if after.Exists() {
		first = after.Version + 1
	}
	if first == newest.Version {
		return printAppendedOne(std, newest)
	}
	for h, err := range s.Chain(newest.AggregateID).ReaderAt(newest).Headers(ctx, ropewalk.Range{First: first, Last: newest.Version}) {
		if err != nil {
			std.Warn("all is committed, but not all references could be read: %v", err)
			return printAppendedOne(std, newest)
		}
		if err := printAppendedOne(std, head.At(h)); err != nil {
			return err
		}
	}
	return nil
}

func printAppendedOne(std *ui.Streams, h head.Head) error {
	if !std.JSON {
		return std.Unread(std.Print("%s\n", h.Ref), "%s is committed", h.Ref)
	}
	return std.Unread(std.Emit(appendedJSON{
		Kind: ui.KindOf("appended"), Ref: h.Ref.String(), Aggregate: h.AggregateID, Version: h.Version, ID: h.ID.String(),
		ETag: h.ETag(), Digest: h.Digest.String(), RecordedAt: changeset.FormatTime(h.UpdatedAt),
	}), "%s is committed", h.Ref)
}
