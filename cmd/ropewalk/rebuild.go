package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
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

func newRebuildHead(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild-head ID",
		Short: "Rebuild a lost head from its objects, or roll an old head forward",
		Long: `Prove everything that is stored of an aggregate, and rebuild its head if the head
is lost, or older than objects built on it, as after a restore of the heads alone.
A head is never moved back.

rebuild-head prints what it has found, what it will write and what is unknown, and
then asks; --yes answers. If several histories could be the right one, or objects
above it cannot be proved, --at must name the one.

The newest changesets of a packed chain are in its head alone. If the head is lost,
they are lost, and nothing that is stored shows how many they were.`,
		Example: `  ropewalk rebuild-head order-4711
  ropewalk rebuild-head order-4711 --at order-4711@4.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10 --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runRebuildHead(cmd, std, stores, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "the newest changeset of the right history, a `REF`")
	flags.BoolVar(&f.yes, "yes", false, "write without asking")
	flags.BoolVar(&f.headers, "headers", false, "leave the contents unread, and so unproved")
	return cmd
}

func runRebuildHead(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f rebuildFlags, arg string) error {
	id, err := reference.ParseID(arg)
	if err != nil {
		return err
	}
	at, err := f.parseAt(id)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return withStore(ctx, stores, func(s *store) error {
		bar := std.NewProgress(-1, false, "changesets")
		in := inspect.New(s.objects, s.heads, &inspect.Options{HeadersOnly: f.headers, Progress: func() { bar.Add(1) }})
		plan, err := in.Rebuild(ctx, id)
		bar.End()
		if errors.Is(err, ropewalk.ErrNotFound) {
			return cliexit.WithHint(err, "if its chain was packed, its whole history may have been in its head: restore the head from a backup")
		}
		if err != nil {
			return err
		}
		return rebuilding{std, in, plan, f.at, f.yes}.run(ctx, at)
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

// choose returns the tip that becomes the newest changeset, or an error if the
// choice is open.
func (r rebuilding) choose(at reference.Reference) (inspect.Tip, error) {
	var matches []inspect.Tip
	for _, tip := range r.plan.Tips {
		named := tip.Version == at.First && strings.HasSuffix(tip.ID.String(), at.UUID)
		if at.Form == reference.Bare && tip.Under == (changeset.Ref{}) || at.Form != reference.Bare && named {
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
	what := "nothing that is stored of %s can be proved from version 0 up"
	if !r.plan.Head.IsZero() {
		what = "nothing built beyond the head of %s is proved to descend from it; wait, if appends are under way"
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Corrupt, fmt.Errorf(what, r.plan.AggregateID)), "see what is wrong: ropewalk verify %s", reference.Operand(r.plan.AggregateID))
}

// choices returns the flags that name each tip, the likeliest first.
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

// again plans again after another writer has changed the head. It does not carry
// the new plan out, since the user has not seen it.
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
