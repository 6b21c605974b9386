package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newDiff(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var with string
	cmd := &cobra.Command{
		Use:   "diff REF REF | ID VERSION VERSION | ID --with URL",
		Short: "Compare two changesets, two versions, or an aggregate in two stores",
		Long: `Compare the contents of two changesets: JSON by path, where the order of fields and
spaces do not count; other text by line; and anything else by size and hash. The
changesets may be of different aggregates, and outside the chain.

With an ID and two versions, list the events of the changesets after the first
version up to the second.

With an ID and --with, compare the aggregate in this store and in another one: the
histories are equal, one goes on where the other ends, or they are forked, with the
newest version that both have. The changesets that only one of them has are listed.
Digests prove it: no content is read, except in packed chains.

The exit code is 0 whether or not there is a difference; --json says which.`,
		Example: `  ropewalk diff order-4711@1 order-4711@2
  ropewalk diff order-4711 2 5
  ropewalk diff order-4711 --with file:copy.db`,
		Args:              cobra.RangeArgs(1, 3),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch isWith := cmd.Flags().Changed("with"); {
			case isWith && len(args) > 1:
				return cliexit.Usagef("--with takes one aggregate, and no versions")
			case isWith:
				return diffStores(ctx, std, stores, args[0], with)
			case len(args) == 1:
				return cliexit.WithHint(cliexit.Usagef("name what to compare %s with", ui.Quote(args[0])),
					"another changeset, two versions, or another store with --with URL")
			case len(args) == 2:
				return diffChangesets(ctx, std, stores, args[0], args[1])
			default:
				return diffVersions(ctx, std, stores, args)
			}
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "compare with the aggregate in the store `URL`")
	completeFlag(cmd, "with", storeSchemes, cobra.ShellCompDirectiveNoSpace)
	return cmd
}

// diffChangesets compares the contents of two changesets.
func diffChangesets(ctx context.Context, std *ui.Streams, stores *storeFlags, from, to string) error {
	return withStore(ctx, stores, func(s *store) error {
		old, next, err := s.readBoth(ctx, from, to)
		if err != nil {
			return err
		}
		return compareContents(old, next).print(std)
	})
}

// readBoth reads the changesets that two references name.
func (s *store) readBoth(ctx context.Context, from, to string) (old, next changeset.Changeset, err error) {
	a, err := reference.Parse(from)
	if err != nil {
		return old, next, err
	}
	b, err := reference.Parse(to)
	if err != nil {
		return old, next, err
	}
	if old, err = s.read(ctx, a); err != nil {
		return old, next, err
	}
	next, err = s.read(ctx, b)
	return old, next, err
}

// read reads the changeset that a reference names.
func (s *store) read(ctx context.Context, r reference.Reference) (changeset.Changeset, error) {
	l, err := s.locate(ctx, r)
	if err != nil {
		return changeset.Changeset{}, err
	}
	return s.get(ctx, l)
}
