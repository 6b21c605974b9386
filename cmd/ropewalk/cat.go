package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newCat(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "cat REF|RANGE",
		Short: "Print the contents of changesets, exactly",
		Long: `Print the content of a changeset, or of each changeset of a range, the oldest
first: the bytes alone, exactly as they were appended, even if they are stored
compressed, with nothing between them. An ID alone is its newest changeset;
ID@0.. is the whole history.`,
		Example: `  ropewalk cat order-4711@7 > invoice.pdf
  ropewalk cat order-4711@0.. | jq -r .type`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runCat(cmd, std, stores, args[0]) },
	}
}

func runCat(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return withStore(ctx, stores, func(s *store) error {
		if r.IsRange() {
			return catRange(ctx, std, s, r)
		}
		l, err := s.locate(ctx, r)
		if err != nil {
			return err
		}
		c, err := s.get(ctx, l)
		if err != nil {
			return err
		}
		return printContent(std, c)
	})
}

func catRange(ctx context.Context, std *ui.Streams, s *store, r reference.Reference) error {
	sp, err := s.span(ctx, r)
	if err != nil {
		return err
	}
	for c, err := range sp.contents(ctx, false) {
		if err != nil {
			return err
		}
		if err := printContent(std, c); err != nil {
			return err
		}
	}
	return nil
}

// printContent prints content as it is, or with --json within its changeset.
func printContent(std *ui.Streams, c changeset.Changeset) error {
	if std.JSON {
		out := newChangesetJSON(c.Header)
		out.contentJSON = newContentJSON(c.Content)
		return std.Emit(out)
	}
	_, err := ui.Raw(std.Out).Write(c.Content)
	return err
}
