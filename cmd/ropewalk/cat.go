package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newCat(a *app) *cobra.Command {
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
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runCat(cmd, args[0]) },
	}
}

func (a *app) runCat(cmd *cobra.Command, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return a.reading(ctx, func(s *store) error {
		if r.Form == reference.Between || r.Form == reference.Onward {
			return a.catRange(ctx, s, r)
		}
		l, err := s.locate(ctx, r)
		if err != nil {
			return err
		}
		c, err := s.get(ctx, l)
		if err != nil {
			return err
		}
		return a.printContent(c)
	})
}

func (a *app) catRange(ctx context.Context, s *store, r reference.Reference) error {
	sp, err := s.span(ctx, r)
	if err != nil {
		return err
	}
	for c, err := range sp.contents(ctx, false) {
		if err != nil {
			return err
		}
		if err := a.printContent(c); err != nil {
			return err
		}
	}
	return nil
}

// printContent prints content as it is, or with --json within its changeset.
func (a *app) printContent(c changeset.Changeset) error {
	if a.JSON {
		out := newChangesetJSON(c.Header)
		out.contentJSON = newContentJSON(c.Content)
		return a.Emit(out)
	}
	_, err := ui.Raw(a.Out).Write(c.Content)
	return err
}
