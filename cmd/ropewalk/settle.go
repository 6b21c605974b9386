package main

import (
	"github.com/spf13/cobra"
)

func newSettle(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "settle REF",
		Short: "End an uncertain append for good",
		Long: `End an append of which nobody knows whether it was committed: exit code 5 of
append gave the reference, and graph shows such changesets with a question
mark. If the append can still be committed, it is, and its reference is printed;
if another one came first, it is refused for good, with exit code 4. Exit code 5
means that again no answer could be had.

What is pending in a graph need not be uncertain: its writer may be about to
commit it, or was told that nothing is stored, since a request failed before the
head was swapped. To settle it commits it all the same. If it is not wanted,
leave it: it is lost with the next append, and gc collects it.`,
		Example:           `  ropewalk settle order-4711@4.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runSettle(cmd, args[0]) },
	}
}

func (a *app) runSettle(cmd *cobra.Command, arg string) error {
	r, err := parseReference(arg)
	if err != nil {
		return err
	}
	if r.form != exact {
		return usagef("%s: settle wants the reference of one changeset: ID@VERSION.UUID, or the end of the UUID", quote(arg))
	}
	ctx := cmd.Context()
	return a.reading(ctx, func(s *store) error {
		l, err := s.locateExact(ctx, r)
		if err != nil {
			return err
		}
		committed, err := s.Chain(r.id).Settle(ctx, l.ref)
		if err != nil {
			return err
		}
		return a.printAppendedOne(committed)
	})
}
