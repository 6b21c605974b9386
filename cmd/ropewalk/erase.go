package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// erasedJSON is the result of erase with --json.
type erasedJSON struct {
	ui.Kind
	Aggregate string    `json:"aggregate"`
	Version   *uint64   `json:"version,omitempty"` // absent if there were no changesets
	Revision  uint64    `json:"revision"`
	Deleted   countJSON `json:"deleted"`
}

func newErase(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "erase ID",
		Short: "Delete an aggregate's history for good",
		Long: `Delete all changesets and snapshots of an aggregate. First its head becomes a
tombstone, which shuts out every append in flight and stays: the ID can never be
used again. Running an interrupted erasure again finishes it; repeating a finished
one does no harm.

If an aggregate has a void head, or objects and no head in a packed store, nothing
of it was ever committed: the objects are deleted, appends in flight are refused,
and the ID can be used.

The tombstone remains, with the ID, the last version and digest. So do copies that
the storage keeps: old versions in a versioned bucket, deleted blobs within their
retention, backups, replicas and logs; and copies in caches.`,
		Example:           `  ropewalk erase order-4711`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runErase(cmd.Context(), std, stores, args[0], yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "erase without asking")
	return cmd
}

func runErase(ctx context.Context, std *ui.Streams, stores *storeFlags, arg string, yes bool) error {
	id, err := reference.ParseID(arg)
	if err == nil {
		err = reserved.Check(ctx, id)
	}
	if err != nil {
		return err
	}
	return withStore(ctx, stores, func(s *store) error {
		h, err := s.heads.Load(ctx, id)
		if err != nil {
			return fmt.Errorf("load head of %q: %w", id, err)
		}
		if err := confirmErase(ctx, std, s, id, h, yes); err != nil {
			return err
		}
		return eraseAggregate(ctx, std, s, id)
	})
}

// confirmErase asks if there is something to erase.
func confirmErase(ctx context.Context, std *ui.Streams, s *store, id string, h head.Head, yes bool) error {
	switch {
	case h.State == head.Erased:
		return nil
	case h.Exists():
		return std.Confirm(ctx, yes, id, fmt.Sprintf("delete its history, %s, for good", ui.Plural(int64(h.Version)+1, "changeset")))
	}
	for _, err := range s.objects.Objects(ctx, id) {
		if err != nil {
			return fmt.Errorf("list changesets of %q: %w", id, err)
		}
		return std.Confirm(ctx, yes, id, "delete its objects, of which none is committed, for good")
	}
	return nil
}

func eraseAggregate(ctx context.Context, std *ui.Streams, s *store, id string) error {
	bar := std.NewProgress(-1, false, "objects")
	r, err := gc.New(s.objects, s.heads, &gc.Options{Void: s.layout.Packed, Logger: s.log, Progress: bar.Add}).Erase(ctx, id)
	bar.End()
	switch {
	case err != nil && r.Head.State == head.Erased:
		return cliexit.WithHint(err, "the head is a tombstone, and %s of the objects were deleted; finish it: ropewalk erase %s", ui.Thousands(r.Deleted.Objects), reference.Operand(id))
	case err != nil && !r.Head.Exists():
		return cliexit.WithHint(err, "see what is stored: ropewalk graph %s", reference.Operand(id))
	case err != nil:
		return cliexit.WithHint(err, "nothing was deleted yet; run it again: ropewalk erase %s", reference.Operand(id))
	case std.JSON:
		out := erasedJSON{Kind: ui.KindOf("erased"), Aggregate: id, Revision: r.Head.Revision, Deleted: countJSON(r.Deleted)}
		if r.Head.Exists() {
			out.Version = &r.Head.Version
		}
		return std.Unread(std.Emit(out), "%s is erased", id)
	case !r.Head.Exists():
		err = std.Print("%s had no changesets: %s deleted, %s\n", id, ui.Plural(r.Deleted.Objects, "object"), ui.SpacedSize(r.Deleted.Bytes))
		return std.Unread(err, "the objects of %s are deleted", id)
	}
	err = std.Print("%s is erased: %s deleted, %s\nwhat remains: its tombstone, and copies that the storage keeps: old versions, deleted blobs within their retention, backups\n",
		id, ui.Plural(r.Deleted.Objects, "object"), ui.SpacedSize(r.Deleted.Bytes))
	return std.Unread(err, "%s is erased", id)
}
