package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// settleFlags are the flags of settle.
type settleFlags struct {
	afterRevision uint64
	given         bool // the flag
}

func newSettle(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f settleFlags
	cmd := &cobra.Command{
		Use:   "settle REF",
		Short: "Find out the outcome of an uncertain append",
		Long: `Find out whether an append was committed. An append whose outcome is unknown, with
exit code 5, prints the line to run. If the append is committed, its reference is
printed. If not, it is refused for good, with exit code 4, and can be appended
again. Exit code 5 means that the outcome is still unknown.

Settle never commits anything. If the append's own commit may still be on its way,
settle fences the aggregate, so that the commit comes too late. A changeset that
graph shows as pending may belong to a writer that is at work: settling refuses
it, and the writer's next attempt commits it under another reference.

--after-revision is the revision of the head that the append was built on. It is
needed only if the changeset is not stored.

An uncertain append to several aggregates is settled for all of them by any one of
them.`,
		Example:           `  ropewalk settle order-4711@4.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10 --after-revision 4`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags().Changed("after-revision")
			return runSettle(cmd, std, stores, f, args[0])
		},
	}
	cmd.Flags().Uint64Var(&f.afterRevision, "after-revision", 0, "`REVISION` of the head that the append was built on")
	return cmd
}

func runSettle(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f settleFlags, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	if r.Form != reference.Exact {
		return cliexit.Usagef("%s: settle wants the reference of one changeset: ID@VERSION.UUID, or the end of the UUID", ui.Quote(arg))
	}
	ctx := cmd.Context()
	return withStore(ctx, stores, func(s *store) error {
		ref, err := s.settled(ctx, r)
		if err != nil {
			return err
		}
		afterRevision, err := f.builtOn(ctx, s, r, ref)
		if err != nil {
			return err
		}
		committed, err := s.Chain(r.ID).Settle(ctx, ref, afterRevision)
		if err != nil {
			return err
		}
		return printAppendedOne(std, committed)
	})
}

// settled returns the changeset that an exact reference names. It need not be stored
// if the reference has a whole UUID.
func (s *store) settled(ctx context.Context, r reference.Reference) (changeset.Ref, error) {
	if id, err := changeset.ParseID(r.UUID); err == nil {
		return changeset.Ref{AggregateID: r.ID, Version: r.First, ID: id}, nil
	}
	l, err := s.locateExact(ctx, r)
	return l.ref, err
}

// builtOn returns the revision that the changeset was built on: the stored one, or
// the flag if the changeset is not stored.
func (f settleFlags) builtOn(ctx context.Context, s *store, r reference.Reference, ref changeset.Ref) (uint64, error) {
	after, err := s.storedAfter(ctx, r, ref, !f.given)
	switch {
	case err == nil && f.given && after != f.afterRevision:
		return 0, cliexit.Usagef("--after-revision %d: %s was built on revision %d", f.afterRevision, ref, after)
	case err == nil:
		return after, nil
	case f.given:
		return f.afterRevision, nil
	case errors.Is(err, ropewalk.ErrNotFound):
		return 0, s.revisionNeeded(ctx, ref)
	default:
		return 0, err
	}
}

// storedAfter returns the revision that a stored changeset was built on. If it is not
// an object of its own, the head and the packs are searched if search is set.
func (s *store) storedAfter(ctx context.Context, r reference.Reference, ref changeset.Ref, search bool) (uint64, error) {
	info, err := s.objects.Stat(ctx, ref)
	if !search || !errors.Is(err, ropewalk.ErrNotFound) {
		return info.AfterRevision, err
	}
	l, err := s.locate(ctx, r)
	if err != nil {
		return 0, err
	}
	c, err := s.get(ctx, l)
	return c.AfterRevision, err
}

// revisionNeeded returns the error of a changeset that is not stored, if the flag is
// missing.
func (s *store) revisionNeeded(ctx context.Context, ref changeset.Ref) error {
	if _, err := s.Chain(ref.AggregateID).Head(ctx); err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return err // such as that it is erased
	}
	return cliexit.WithHint(fmt.Errorf("%s: no such changeset is stored: %w", ref, ropewalk.ErrNotFound),
		"its append may still arrive: add --after-revision from the line that reported it as uncertain")
}
