package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
	"ropewalk/head"
)

// relayJSON is the result of relay and of feed sweep with --json.
type relayJSON struct {
	ui.Kind
	// Log means that the log of the store is its feed, which needs no relay.
	Log      bool     `json:"log,omitempty"`
	Batches  int64    `json:"batches"`
	Advances int64    `json:"advances"`
	Restored []string `json:"restored,omitempty"`
	Unread   []string `json:"unread,omitempty"`
}

// relayFlags are the flags of relay.
type relayFlags struct{ once, sweep bool }

func newRelay(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f relayFlags
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Feed the store's changes to its listeners, until stopped",
		Long: `Find out which aggregates have advanced, and append their advances to the feed of
the store, which watch and subscriptions read. The first relay makes the feed,
with everything that the store holds. Any number of relays may run: one works, and
the others stand by. A store in a SQLite file needs no relay, since its log is its
feed.

relay runs until it is interrupted, which is its regular end: the exit code is 0.
Failures of the storage are logged and tried again. With --once, relay feeds what
has happened so far, and ends; run it on a schedule. With --sweep it looks at
every head first, whatever the source of hints says.

An aggregate whose head was restored from a backup, or does not decode, is left
alone and reported. With --once and --sweep the exit code is then 6.`,
		Example: `  ropewalk relay
  ropewalk relay --once --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runRelay(cmd.Context(), std, stores, f) },
	}
	cmd.Flags().BoolVar(&f.once, "once", false, "feed what has happened so far, and end")
	cmd.Flags().BoolVar(&f.sweep, "sweep", false, "look at every head first; with --once, end after that")
	return cmd
}

func runRelay(ctx context.Context, std *ui.Streams, stores *storeFlags, f relayFlags) error {
	return withStore(ctx, stores, func(s *store) error {
		r := relaying{Streams: std, bar: std.NewProgress(-1, false, "advances"), total: relayJSON{Kind: ui.KindOf("relay")}}
		if r.total.Log = s.hasLog(); r.total.Log {
			return r.print()
		}
		if !f.once && s.log == nil {
			s.log = location.NewLogger(std.Err, std.Redacted) // what a report would say at the end
		}
		relay := s.feed().Relay(&feed.RelayOptions{Progress: r.add})
		switch {
		case f.sweep:
			report, err := relay.Sweep(ctx)
			if err != nil || f.once {
				return r.end(report, err)
			}
			r.warn(report)
		case f.once:
			return r.end(relay.Once(ctx))
		}
		return r.run(ctx, relay)
	})
}

// feed returns the feed of the store.
func (s *store) feed() *feed.Feed { return feed.Open(s.Store, &feed.Options{Logger: s.log}) }

// hasLog reports whether the log of the store is its feed.
func (s *store) hasLog() bool {
	_, ok := head.As[head.Log](s.heads)
	return ok
}

// relaying is a run of a relay.
type relaying struct {
	*ui.Streams
	bar   *ui.Progress
	total relayJSON
}

func (r *relaying) add(advances int) {
	r.total.Batches++
	r.total.Advances += int64(advances)
	r.bar.Add(int64(advances))
}

// run feeds until the context ends. The next relay finds what this relay was about to
// append then, so that an interrupted append is no failure.
func (r *relaying) run(ctx context.Context, relay *feed.Relay) error {
	err := relay.Run(ctx)
	r.bar.End()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, r.print())
}

// end prints the report of a relay that has ended, with or without an error.
func (r *relaying) end(report feed.RelayReport, err error) error {
	r.bar.End()
	r.total.Restored, r.total.Unread = report.Restored, report.Unread
	err = errors.Join(err, r.print())
	r.warn(report)
	left := slices.Concat(report.Restored, report.Unread)
	if err != nil || len(left) == 0 {
		return err
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Found, fmt.Errorf("%s left alone", ui.Plural(int64(len(left)), "aggregate"))),
		"see what is wrong: ropewalk verify %s", reference.Operand(left[0]))
}

// warn names the aggregates that were left alone.
func (r *relaying) warn(report feed.RelayReport) {
	for _, id := range report.Restored {
		r.Warn("the head of %s is not in the history that was fed, since it was restored: ropewalk graph %s", id, reference.Operand(id))
	}
	for _, id := range report.Unread {
		r.Warn("the head of %s does not decode: ropewalk verify %s", id, reference.Operand(id))
	}
}

func (r *relaying) print() error {
	done := fmt.Sprintf("fed %s in %s", ui.Plural(r.total.Advances, "advance"), batches(r.total.Batches))
	switch {
	case r.JSON:
		return r.Unread(r.Emit(r.total), "%s", done)
	case r.total.Log:
		return r.Print("no relay is needed: the log of the store is its feed\n")
	default:
		return r.Unread(r.Print("%s\n", done), "%s", done)
	}
}

// batches returns a number of batches: 1 batch, 2 batches.
func batches(n int64) string {
	if n == 1 {
		return "1 batch"
	}
	return ui.Thousands(n) + " batches"
}
