package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// feedDroppedJSON is the result of feed drop with --json.
type feedDroppedJSON struct{ ui.Kind }

func newFeedSweep(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "sweep",
		Short: "Look at every head, and feed what the feed lacks",
		Long: `Look at every head, whatever the source of hints says, and feed what the feed
lacks. A sweep repairs a feed whose source has lost hints, as a relay does when
the source admits it. It reads every head, and does no harm beside relays that
are at work. It is the same as ropewalk relay --once --sweep.`,
		Example:           `  ropewalk feed sweep`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRelay(cmd.Context(), std, stores, relayFlags{once: true, sweep: true})
		},
	}
}

func newFeedDrop(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Give up the feed, and delete it",
		Long: `Give up the feed, and delete its objects. No changeset of an aggregate is touched.
Relays, watchers and subscriptions that are at work end with an error. The next
relay makes a new feed from everything that the heads then say, with other
positions: every subscription must be reset, and begins again. Running an
interrupted drop again finishes it.

The log of a SQLite file cannot be dropped.`,
		Example:           `  ropewalk feed drop`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), stores, func(s *store) error { return runFeedDrop(cmd.Context(), std, s, yes) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "drop it without asking")
	return cmd
}

func runFeedDrop(ctx context.Context, std *ui.Streams, s *store, yes bool) error {
	if s.hasLog() {
		return cliexit.Usagef("the log of the store is its feed, and cannot be dropped")
	}
	if err := std.Confirm(ctx, yes, "drop", "delete the feed and all its positions for good"); err != nil {
		return err
	}
	err := s.feed().Drop(ctx)
	switch {
	case errors.Is(err, feed.ErrNoFeed):
		return err
	case err != nil:
		return cliexit.WithHint(err, "run it again to finish it: ropewalk feed drop")
	case std.JSON:
		return std.Unread(std.Emit(feedDroppedJSON{ui.KindOf("feed-dropped")}), "the feed is dropped")
	default:
		return std.Unread(std.Print("the feed is dropped: the next relay makes a new one\n"), "the feed is dropped")
	}
}
