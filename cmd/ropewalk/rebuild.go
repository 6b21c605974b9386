package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// rebuildFlags are the flags of rebuild-head.
type rebuildFlags struct {
	at           string
	yes, headers bool
}

func newRebuildHead(a *app) *cobra.Command {
	var f rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild-head ID",
		Short: "Write a lost head anew from its objects, or roll an old one forward",
		Long: `Prove all that is stored of an aggregate, and write its head anew where it is
lost, or older than what was built on it, as after a restore of the heads alone.
A head is never moved back.

It says what it has found, what it will write and what it cannot know, and then
asks; --yes answers. Where more than one history could be the right one, or
objects above it cannot be proved, it wants to be told which: --at.`,
		Example: `  ropewalk rebuild-head order-4711
  ropewalk rebuild-head order-4711 --at order-4711@4.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10 --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runRebuildHead(cmd, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "the newest changeset of the history that is to stand, a `REF`")
	flags.BoolVar(&f.yes, "yes", false, "write without asking")
	flags.BoolVar(&f.headers, "headers", false, "leave the contents unread, and so unproved")
	return cmd
}

func (a *app) runRebuildHead(cmd *cobra.Command, f rebuildFlags, arg string) error {
	id, err := reference.ParseID(arg)
	if err != nil {
		return err
	}
	at, err := f.parseAt(id)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return a.reading(ctx, func(s *store) error {
		bar := a.NewProgress(-1, false, "changesets")
		in := inspect.New(s.objects, s.heads, &inspect.Options{HeadersOnly: f.headers, Progress: func() { bar.Add(1) }})
		plan, err := in.Rebuild(ctx, id)
		bar.End()
		if err != nil {
			return err
		}
		return rebuilding{a, in, plan, f}.run(ctx, at)
	})
}

// parseAt reads --at. Without it the reference has only the ID.
func (f rebuildFlags) parseAt(id string) (reference.Reference, error) {
	if f.at == "" {
		return reference.Reference{ID: id}, nil
	}
	r, err := reference.Parse(f.at)
	if err == nil && (r.ID != id || r.Form != reference.Single && r.Form != reference.Exact) {
		err = cliexit.Usagef("--at %s: want a changeset of %s: ID@VERSION.UUID, or the end of the UUID", ui.Quote(f.at), ui.Quote(id))
	}
	return r, err
}

// rebuilding is one run of rebuild-head, with its plan.
type rebuilding struct {
	*app
	in   *inspect.Inspector
	plan inspect.Rebuilding
	rebuildFlags
}

func (r rebuilding) run(ctx context.Context, at reference.Reference) error {
	tip, chosen := r.choose(at)
	if err := r.show(tip); err != nil {
		return err
	}
	if r.plan.Condition == inspect.Standing {
		return nil
	}
	if chosen != nil {
		return chosen
	}
	if err := r.Confirm(ctx, r.yes, r.plan.AggregateID, "write this head"); err != nil {
		return err
	}
	written, err := r.in.Apply(ctx, r.plan, tip.Ref)
	switch {
	case errors.Is(err, inspect.ErrHeadMoved):
		return r.again(ctx, err)
	case errors.Is(err, inspect.ErrUnknown):
		return cliexit.WithHint(cliexit.Wrap(cliexit.Uncertain, err), "run it again: it looks at the head first")
	case err != nil:
		return err
	case r.JSON:
		return r.Emit(newHeadJSON(written))
	default:
		return r.Print("written: %s at revision %d\n", written.Ref, written.Revision)
	}
}

// choose returns the tip that is to be the newest changeset, or the error that
// says why that is not decided.
func (r rebuilding) choose(at reference.Reference) (inspect.Tip, error) {
	var matches []inspect.Tip
	for _, tip := range r.plan.Tips {
		if at.Form == reference.Bare || tip.Version == at.First && strings.HasSuffix(tip.ID.String(), at.UUID) {
			matches = append(matches, tip)
		}
	}
	switch id := r.plan.AggregateID; {
	case len(r.plan.Tips) == 0:
		return inspect.Tip{}, r.nothingProved()
	case len(matches) == 0:
		return inspect.Tip{}, cliexit.WithHint(cliexit.Usagef("--at %s is not one of the histories that are proved", ui.Quote(r.at)), "%s", choices(r.plan.Tips))
	case len(matches) > 1:
		return inspect.Tip{}, cliexit.WithHint(cliexit.Usagef("%s has %d histories that could be the right one", id, len(matches)), "%s", choices(matches))
	case at.Form == reference.Bare && r.plan.Beyond > 0:
		return inspect.Tip{}, cliexit.WithHint(cliexit.Usagef("%s above %s cannot be proved, and would be left out", ui.Plural(int64(r.plan.Beyond), "object"), matches[0].Ref),
			"restore them first; or %s", choices(matches))
	}
	return matches[0], nil
}

func (r rebuilding) nothingProved() error {
	what := "of what is stored of %s nothing can be proved from version 0 up"
	if r.plan.Head.Exists() {
		what = "of what was built beyond the head of %s nothing is proved to descend from it; wait, if appends are under way"
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Corrupt, fmt.Errorf(what, r.plan.AggregateID)), "see what is wrong: ropewalk verify %s", reference.Operand(r.plan.AggregateID))
}

// choices says how to name each tip, the likeliest first.
func choices(tips []inspect.Tip) string {
	const most = 8
	var all []string
	for _, tip := range tips[:min(most, len(tips))] {
		all = append(all, "--at "+ui.Quote(tip.Ref.String()))
	}
	if more := len(tips) - most; more > 0 {
		all = append(all, fmt.Sprintf("one of %d more", more))
	}
	return "say which: " + strings.Join(all, ", or ")
}

// again plans again after another writer has changed the head, to see whether
// anything is left to do. The caller has not seen the new plan, so it is not
// carried out.
func (r rebuilding) again(ctx context.Context, moved error) error {
	plan, err := r.in.Rebuild(ctx, r.plan.AggregateID)
	if err != nil {
		return errors.Join(moved, err)
	}
	if r.plan = plan; plan.Condition == inspect.Standing {
		return r.show(inspect.Tip{})
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Conflict, moved), "nothing was written; run it again")
}
