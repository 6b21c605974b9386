package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// subscriptionsFlags are the flags of subscriptions.
type subscriptionsFlags struct {
	reset               string
	replay, delete, yes bool
}

func newSubscriptions(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f subscriptionsFlags
	cmd := &cobra.Command{
		Use:   "subscriptions [NAME]",
		Short: "Show the subscriptions and their lag, or change one",
		Long: `Show the subscriptions of the store, or more of one: its position, how many changes
come after it and how old the first of them is, its owner, and its parked
aggregates. A share of a subscription is named NAME/2-of-4. All changes after the
position count, whatever the subscription selects. Changes that the feed lacks do
not count: ropewalk feed status shows those. An owner that has died is shown until
another takes over.

With --reset the subscription goes on after a position, at the start of the feed,
or after everything that the feed has now: the changes in between are handed over
again, or never. With --replay the changes of its parked aggregates are handed over
again. With --delete its position is forgotten. A reset or deleted subscription has
no owner: a consumer that is at work ends with an error.`,
		Example: `  ropewalk subscriptions
  ropewalk subscriptions orders --replay
  ropewalk subscriptions orders --reset start`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSubscriptions(cmd.Context(), std, stores, f, strings.Join(args, ""), cmd.Flags().Changed("reset"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.reset, "reset", "", "go on after this `POSITION`, at the start, or now")
	flags.BoolVar(&f.replay, "replay", false, "hand over the changes of the parked aggregates again")
	flags.BoolVar(&f.delete, "delete", false, "forget the subscription and its position")
	flags.BoolVar(&f.yes, "yes", false, "reset or delete without asking")
	completeFlag(cmd, "reset", []string{"start", "now"}, cobra.ShellCompDirectiveDefault)
	return cmd
}

func runSubscriptions(ctx context.Context, std *ui.Streams, stores *storeFlags, f subscriptionsFlags, name string, reset bool) error {
	if err := f.check(name, reset); err != nil {
		return err
	}
	options, err := parseSubscription(&name)
	if err != nil {
		return err
	}
	to, err := feedPosition("--reset", f.reset)
	if reset && err != nil {
		return err
	}
	return withStore(ctx, stores, func(s *store) error {
		if name == "" {
			return listSubscriptions(ctx, std, s.feed())
		}
		c := changing{Streams: std, feed: s.feed(), yes: f.yes}
		c.sub = c.feed.Subscription(name, options)
		switch {
		case reset:
			return c.reset(ctx, f.reset, to)
		case f.replay:
			return c.replay(ctx)
		case f.delete:
			return c.delete(ctx)
		default:
			return showSubscription(ctx, std, c.sub)
		}
	})
}

func (f subscriptionsFlags) check(name string, reset bool) error {
	changes := 0
	for _, change := range []bool{reset, f.replay, f.delete} {
		if change {
			changes++
		}
	}
	switch {
	case changes > 1:
		return cliexit.Usagef("--reset, --replay and --delete do not go together")
	case changes == 1 && name == "":
		return cliexit.WithHint(cliexit.Usagef("name the subscription"), "ropewalk subscriptions lists them")
	}
	return nil
}

var subscriptionForm = regexp.MustCompile(`^[0-9A-Za-z._@~-]{0,64}$`)

// parseSubscription splits the name of a share, NAME/2-of-4. The name alone is the
// whole subscription, and an empty name stands for all.
func parseSubscription(name *string) (*feed.SubscriptionOptions, error) {
	before, share, divided := strings.Cut(*name, "/")
	if !subscriptionForm.MatchString(before) || divided && before == "" {
		return nil, cliexit.Usagef("%q is not the name of a subscription: want 1 to 64 letters, digits, or characters of -_.@~", *name)
	}
	if !divided {
		return nil, nil
	}
	options := &feed.SubscriptionOptions{}
	index, of, _ := strings.Cut(share, "-of-")
	options.Share.Index, _ = strconv.Atoi(index)
	options.Share.Of, _ = strconv.Atoi(of)
	if options.Share.String() != share || options.Share.Index < 1 || options.Share.Index > options.Share.Of {
		return nil, cliexit.Usagef("%q is not a share of a subscription: write NAME/2-of-4", *name)
	}
	*name = before
	return options, nil
}

// subscriptionName names a subscription as parseSubscription reads it.
func subscriptionName(name string, share feed.Share) string {
	if share == (feed.Share{}) {
		return name
	}
	return name + "/" + share.String()
}

// changing changes one subscription.
type changing struct {
	*ui.Streams
	feed *feed.Feed
	sub  *feed.Subscription
	yes  bool
}

// confirm asks for the name of the subscription, which must exist.
func (c changing) confirm(ctx context.Context, what string) (name string, err error) {
	status, err := c.sub.Status(ctx)
	if err != nil {
		return "", err
	}
	name = subscriptionName(status.Name, status.Share)
	return name, c.Confirm(ctx, c.yes, name, what)
}

func (c changing) reset(ctx context.Context, where string, to feed.Position) error {
	what := "let it go on after another position"
	switch where {
	case "start":
		what = "hand over every change again, from the start of the feed on"
	case "now":
		what = "never hand over the changes up to now"
	}
	name, err := c.confirm(ctx, what)
	if err != nil {
		return err
	}
	if where == "now" {
		if to, err = c.feed.End(ctx); err != nil {
			return err
		}
	}
	if err := c.sub.Reset(ctx, to); err != nil {
		return err
	}
	return c.done(ctx, fmt.Sprintf("%s is reset", name))
}

func (c changing) replay(ctx context.Context) error {
	if err := c.sub.Replay(ctx); err != nil {
		return err
	}
	status, err := c.sub.Status(ctx)
	if err != nil {
		return err
	}
	name, did := subscriptionName(status.Name, status.Share), "has no parked aggregate, or has replayed it already"
	if status.Replaying {
		did = fmt.Sprintf("is to replay %s", ui.Plural(int64(len(status.Parked)), "parked aggregate"))
	}
	return c.done(ctx, name+" "+did)
}

func (c changing) delete(ctx context.Context) error {
	name, err := c.confirm(ctx, "forget the subscription and its position for good")
	if err != nil {
		return err
	}
	if err := c.sub.Delete(ctx); err != nil {
		return err
	}
	did := name + " is deleted"
	if c.JSON {
		return c.Unread(c.Emit(subscriptionDeletedJSON{ui.KindOf("subscription-deleted"), name}), "%s", did)
	}
	return c.Unread(c.Print("%s\n", did), "%s", did)
}

// done reports what was done: as a sentence, or with --json as the subscription.
func (c changing) done(ctx context.Context, did string) error {
	if c.JSON {
		return c.Unread(showSubscription(ctx, c.Streams, c.sub), "%s", did)
	}
	return c.Unread(c.Print("%s\n", did), "%s", did)
}
