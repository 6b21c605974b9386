package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// feedFindingJSON is an aggregate whose chain and the feed do not agree, from feed
// verify with --json.
type feedFindingJSON struct {
	ui.Kind
	Aggregate string `json:"aggregate"`
	Unfed     bool   `json:"unfed"`
	Problem   string `json:"problem"`
}

// feedVerifiedJSON is the summary of feed verify with --json.
type feedVerifiedJSON struct {
	ui.Kind
	Wrong int64 `json:"wrong"`
	Unfed int64 `json:"unfed"`
}

func newFeedVerify(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Prove that the feed has every change once, and in order",
		Long: `Compare the feed with every head: the feed must have the versions of each
aggregate from 0 on, once and in order, must name the changesets of its chain, and
must end with the erasure of an erased aggregate. Each aggregate for which it does
not is a line; the exit code is then 6. Changes that the feed only lacks so far
are no failure: a relay feeds them. Writers and relays may be at work.

The whole feed is read, and a header for most changesets.`,
		Example:           `  ropewalk feed verify`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), stores, func(s *store) error { return runFeedVerify(cmd.Context(), std, s) })
		},
	}
}

func runFeedVerify(ctx context.Context, std *ui.Streams, s *store) error {
	total := feedVerifiedJSON{Kind: ui.KindOf("feed-verified")}
	if err := printFeedFindings(std, s.feed().Verify(ctx), &total); err != nil {
		return err
	}
	if err := total.print(std); err != nil {
		return err
	}
	if total.Unfed > 0 {
		std.Warn("%s with changes that the feed lacks, and only a relay feeds them: ropewalk relay --once", ui.Plural(total.Unfed, "aggregate"))
	}
	if total.Wrong == 0 {
		return nil
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Found, fmt.Errorf("the feed is wrong about %s", ui.Plural(total.Wrong, "aggregate"))),
		"find out whether the chains are sound: ropewalk verify --all")
}

func printFeedFindings(std *ui.Streams, findings iter.Seq2[feed.Finding, error], total *feedVerifiedJSON) error {
	for f, err := range findings {
		if err != nil {
			return err
		}
		if f.Unfed {
			total.Unfed++
		} else {
			total.Wrong++
		}
		if std.JSON {
			err = std.Emit(feedFindingJSON{ui.KindOf("feed-finding"), f.AggregateID, f.Unfed, f.Problem})
		} else {
			err = std.Print("%s  %s\n", f.AggregateID, f.Problem)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t feedVerifiedJSON) print(std *ui.Streams) error {
	switch {
	case std.JSON:
		return std.Emit(t)
	case t.Wrong == 0 && t.Unfed == 0:
		return std.Print("the feed is complete\n")
	default:
		return std.Print("verified the feed: %s wrong, %s not fed yet\n", ui.Plural(t.Wrong, "aggregate"), ui.Thousands(t.Unfed))
	}
}
