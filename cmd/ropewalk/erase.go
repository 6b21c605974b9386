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
	Version   uint64    `json:"version"`
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
		if h.Exists() && h.State != head.Erased {
			if err := std.Confirm(ctx, yes, id, fmt.Sprintf("delete its history, %s, for good", ui.Plural(int64(h.Version)+1, "changeset"))); err != nil {
				return err
			}
		}
		return eraseAggregate(ctx, std, s, id)
	})
}

func eraseAggregate(ctx context.Context, std *ui.Streams, s *store, id string) error {
	bar := std.NewProgress(-1, false, "objects")
	r, err := gc.New(s.objects, s.heads, &gc.Options{Logger: s.log, Progress: bar.Add}).Erase(ctx, id)
	bar.End()
	switch {
	case err != nil && r.Head.State == head.Erased:
		return cliexit.WithHint(err, "the head is a tombstone, and %s of the objects were deleted; finish it: ropewalk erase %s", ui.Thousands(r.Deleted.Objects), reference.Operand(id))
	case err != nil && !r.Head.Exists():
		return cliexit.WithHint(err, "see what is stored: ropewalk graph %s", reference.Operand(id))
	case err != nil:
		return cliexit.WithHint(err, "nothing was deleted yet; run it again: ropewalk erase %s", reference.Operand(id))
	case std.JSON:
		return std.Unread(std.Emit(erasedJSON{ui.KindOf("erased"), id, r.Head.Version, r.Head.Revision, countJSON(r.Deleted)}), "%s is erased", id)
	}
	err = std.Print("%s is erased: %s deleted, %s\nwhat remains: its tombstone, and copies that the storage keeps: old versions, deleted blobs within their retention, backups\n",
		id, ui.Plural(r.Deleted.Objects, "object"), ui.SpacedSize(r.Deleted.Bytes))
	return std.Unread(err, "%s is erased", id)
}
