package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

func newHead(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "head ID",
		Short: "Show the head of an aggregate's chain",
		Long: `Show the head of an aggregate's chain: the newest changeset, the digest that
commits to the whole history, and the ETag for HTTP. Keep the digest elsewhere,
and ropewalk verify --digest can prove later that nothing up to here changed.

The head of a packed chain has the newest changesets in its tip. They are stored
nowhere else. It also counts the chain's packs.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runHead(cmd, std, stores, args[0]) },
	}
}

func runHead(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, arg string) error {
	id, err := reference.ParseID(arg)
	if err != nil {
		return err
	}
	return withStore(cmd.Context(), stores, func(s *store) error {
		h, err := s.Chain(id).Head(cmd.Context())
		if errors.Is(err, ropewalk.ErrNotFound) && h.State == head.Void {
			return fmt.Errorf("%s has no changesets, and is fenced at revision %d: %w", id, h.Revision, ropewalk.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if std.JSON {
			return std.Emit(newHeadJSON(h))
		}
		var packed ui.Safe
		if tip := newTipJSON(h); tip != nil {
			packed = ui.Safef("tip        %s, %s bytes\nobjects    %d\n", ui.Plural(int64(tip.Changesets), "changeset"), ui.Thousands(int64(tip.Bytes)), h.Index.Objects())
		}
		var moves ui.Safe
		switch {
		case h.Move.Done:
			moves = ui.Safef("moved to   %s\n", h.Move.To)
		case h.Move.To != "":
			moves = ui.Safef("moving to  %s\n", h.Move.To)
		}
		return std.Print("changeset  %s\nrevision   %d\ndigest     %s\netag       %s\nupdated    %s\nstate      %s\n%s%s",
			h.Ref, h.Revision, h.Digest, h.ETag(), ui.Precisely(h.UpdatedAt), h.State, moves, packed)
	})
}
