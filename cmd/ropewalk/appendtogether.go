package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// memberLoads is how many members of a commit are loaded at once.
const memberLoads = 16

// runTogether appends to the aggregates that the lines of a file name, all or none.
func runTogether(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f appendFlags, args []string) error {
	if len(args) > 0 || f.create || f.any || cmd.Flags().Changed("after") {
		return cliexit.WithHint(cliexit.Usagef("--commit FILE goes without an aggregate, files, --new, --after and --any"),
			`each line of FILE names its aggregate and what is expected: {"aggregate":"order-4711","new":true,"content":{}}`)
	}
	ctx := cmd.Context()
	members, err := f.readMembers(ctx, std)
	if err != nil {
		return err
	}
	return withNewStore(ctx, stores, func(s *store) error {
		if t, ok := head.As[head.Transactor](s.heads); !ok || t.Members() == 0 {
			return cliexit.WithHint(cliexit.Usagef("the heads of this store cannot be swapped together, so nothing was sent: %w", errors.ErrUnsupported), "%s", otherHeads)
		}
		heads, err := s.appendTogether(ctx, members)
		if err != nil {
			return err
		}
		return printTogether(ctx, std, s, members, heads)
	})
}

// otherHeads is what to do where heads cannot be swapped together.
const otherHeads = "heads in DynamoDB and in a SQLite file can be: aws://BUCKET/?table=T or file:PATH; or append to one aggregate at a time"

// member is an aggregate of a commit.
type member struct {
	id string
	expectation
	drafts    []ropewalk.Draft
	unchanged bool
	expected  head.Head // once it is loaded
}

// appendTogether commits the members, and returns their heads. A member of which nothing is
// expected is loaded again after a conflict.
func (s *store) appendTogether(ctx context.Context, members []*member) ([]head.Head, error) {
	for pauses := pause.New(); ; {
		all, err := s.load(ctx, members)
		if err != nil {
			return nil, err
		}
		heads, err := s.Commit(ctx, all...)
		conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
		if !ok || !expectsAny(members, conflict.Actual.AggregateID) {
			return heads, err
		}
		if err := pauses.Wait(ctx); err != nil {
			return nil, errors.Join(err, conflict)
		}
	}
}

func expectsAny(members []*member, id string) bool {
	for _, m := range members {
		if m.id == id {
			return m.any
		}
	}
	return false
}

// load loads the heads that the members expect.
func (s *store) load(ctx context.Context, members []*member) ([]ropewalk.Member, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(memberLoads)
	for _, m := range members {
		group.Go(func() (err error) {
			m.expected, err = m.head(ctx, s, s.Chain(m.id))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []ropewalk.Member
	for _, m := range members {
		if m.unchanged {
			all = append(all, s.Chain(m.id).Unchanged(m.expected))
		} else {
			all = append(all, s.Chain(m.id).Appending(m.expected, m.drafts...))
		}
	}
	return all, nil
}

// printTogether prints the changesets of each member, and with --json the heads of the
// aggregates that are unchanged.
func printTogether(ctx context.Context, std *ui.Streams, s *store, members []*member, heads []head.Head) error {
	for i, m := range members {
		switch {
		case !m.unchanged:
			if err := printAppended(ctx, std, s, m.expected, heads[i]); err != nil {
				return err
			}
		case std.JSON && heads[i].Exists():
			if err := std.Unread(std.Emit(newHeadJSON(heads[i])), "all is committed"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mostSettleLines is how many commands a hint has at most; with --json all are printed.
const mostSettleLines = 4

// settleLines returns the commands that settle an uncertain commit of several aggregates:
// each of them settles all. An aggregate that does not exist yet is left out, because there
// may be no head to fence.
func settleLines(u *ropewalk.UncertainError) string {
	line := settleLine(u.Ref, u.AfterRevision)
	if len(u.Others) == 0 {
		return line
	}
	line += fmt.Sprintf("; that settles all %d aggregates", len(u.Others)+1)
	for i, o := range u.Others {
		if o.AfterRevision > 0 && i+1 < mostSettleLines {
			line += "; or " + settleLine(o.Ref, o.AfterRevision)
		}
	}
	return line
}
