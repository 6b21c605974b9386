package main

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	from     string
	untilEnd bool
	content  bool
}

func newWatch(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch [ID|PREFIX*]",
		Short: "Follow the changes of the store as they come",
		Long: `Follow the changes of the store, or of one aggregate, or of the aggregates whose IDs
begin with a prefix. The changes of each aggregate come in order. Across
aggregates the order is the order of the feed, in which an invoice may come before
its order.

A prefix ends in *, in quotes for the shell. An ID that ends in * takes an @ after
it: x*@.

watch begins with what happens from now on, and ends when it is interrupted. With
--from it begins after a position, which is the last word of each line, or at the
start of the feed. With --until-end it prints what there is, and ends.

Unless the store is a SQLite file, a relay must run somewhere: ropewalk relay.`,
		Example: `  ropewalk watch
  ropewalk watch 'order-*' --from start --until-end
  ropewalk watch order-4711 --from start --content`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWatch(cmd.Context(), std, stores, f, strings.Join(args, ""))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "now", "begin after this `POSITION`, at the start, or now")
	flags.BoolVar(&f.untilEnd, "until-end", false, "print what there is from --from on, and end")
	flags.BoolVar(&f.content, "content", false, "print the content of each changeset as well")
	completeFlag(cmd, "from", []string{"start", "now"}, cobra.ShellCompDirectiveDefault)
	return cmd
}

func runWatch(ctx context.Context, std *ui.Streams, stores *storeFlags, f watchFlags, arg string) error {
	from, err := f.position()
	if err != nil {
		return err
	}
	of, err := parseWatched(arg)
	if err != nil {
		return err
	}
	return withStore(ctx, stores, func(s *store) error {
		w := watching{Streams: std, store: s, arg: arg, content: f.content, position: from}
		w.feed = feed.Open(s.Store, &feed.Options{Logger: s.log, Only: of.only()})
		if err := w.begin(ctx, f.from, of); err != nil {
			return err
		}
		changes := w.feed.Follow
		if f.untilEnd {
			changes = w.feed.After
		}
		return w.resumable(w.run(changes(ctx, w.position)))
	})
}

// position returns the position to begin at if it is known before the feed is read.
func (f watchFlags) position() (feed.Position, error) {
	if f.from == "now" && f.untilEnd {
		return feed.Position{}, cliexit.WithHint(cliexit.Usagef("--until-end prints nothing from now on"), "name where to begin: --from start")
	}
	return feedPosition("--from", f.from)
}

// feedPosition parses the value of a flag: a position, start or now. The last two
// are the zero Position.
func feedPosition(flag, value string) (feed.Position, error) {
	if value == "start" || value == "now" {
		return feed.Position{}, nil
	}
	p, err := feed.ParsePosition(value)
	if err != nil || p.IsZero() {
		return p, cliexit.Usagef("%s %s: want start, now, or a position that watch has printed", flag, ui.Quote(value))
	}
	return p, nil
}

// watched is an argument of watch: all aggregates, one, or the aggregates with a
// prefix.
type watched struct{ id, prefix string }

func parseWatched(arg string) (of watched, err error) {
	if prefix, ok := strings.CutSuffix(arg, "*"); ok {
		return watched{prefix: prefix}, nil
	}
	if arg != "" {
		of.id, err = reference.ParseID(arg)
	}
	return of, err
}

// only returns which aggregates are watched; nil stands for all.
func (of watched) only() func(id string) bool {
	switch {
	case of.id != "":
		return func(id string) bool { return id == of.id }
	case of.prefix != "":
		return func(id string) bool { return strings.HasPrefix(id, of.prefix) }
	default:
		return nil
	}
}

// watching is a run of watch.
type watching struct {
	*ui.Streams
	store    *store
	feed     *feed.Feed
	arg      string
	content  bool
	position feed.Position // after the last change
}

// begin finds where now is, and warns of what may never come.
func (w *watching) begin(ctx context.Context, from string, of watched) error {
	end, err := w.feed.End(ctx)
	switch {
	case errors.Is(err, feed.ErrNoFeed) && from == "start":
		w.Warn("the store has no feed yet, and only a relay makes it: ropewalk relay")
	case err != nil:
		return err
	case from == "now":
		w.position = end
	}
	if of.id == "" {
		return nil
	}
	_, err = w.store.Chain(of.id).Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) && !cliexit.Unavailable(err) {
		w.Warn("%s does not exist yet; a prefix ends in *: ropewalk watch %s", of.id, ui.Operand(of.id+"*"))
		return nil
	}
	if errors.Is(err, ropewalk.ErrErased) {
		return nil // the feed has the erasure
	}
	return err
}

func (w *watching) run(changes iter.Seq2[feed.Change, error]) error {
	for c, err := range changes {
		if err != nil {
			return err
		}
		if err := w.print(c); err != nil {
			return err
		}
		w.position = c.Position
	}
	return nil
}

// resumable adds to an error how to go on after the last change.
func (w *watching) resumable(err error) error {
	if err == nil || w.position.IsZero() || errors.Is(err, feed.ErrOtherHistory) || errors.Is(err, feed.ErrFeedReplaced) {
		return err
	}
	again := "ropewalk watch --from " + w.position.String()
	if w.arg != "" {
		again += " " + ui.Operand(w.arg)
	}
	return cliexit.WithHint(err, "go on after the last change: %s", again)
}
