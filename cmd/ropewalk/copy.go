package main

import (
	"context"
	"errors"
	"iter"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/transfer"
)

// copyFlags are the flags of copy.
type copyFlags struct {
	prefix, since, at string
	parallel          int
	follow, cutOver   bool
}

func newCopy(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy aggregates from one store to another one",
		Long: `Copy aggregates from one store to another one, between any two backends. SRC and
DST are URLs of stores, as for --store. Contents, IDs, digests and tombstones stay
what they are, and packed chains stay packed. Every changeset is proved before it
is put, and the head of an aggregate is written last, so that readers of DST see
whole histories at every moment. A missing SQLite file is created; in a cloud run
ropewalk init first.

Running an interrupted copy again continues it, and running it later copies what
is new. A source that is appended to in the meantime is copied up to the heads
that it had when their turn came. An aggregate that goes on in DST after the head
of SRC is left as it is. An aggregate of which DST has another history, or that is
erased in one of the stores alone, is refused with exit code 4; the others are
copied.

--at copies a fork, for a test or a look at the past: each aggregate as it was at a
version, or at a TIME, as in references. --at ID@VERSION and --at ID@{TIME} copy
one aggregate. A version within an atomic append stands for the version before that
append. The digests are what they were at that moment. An erased aggregate is
erased in the fork, too. An aggregate that goes on in the fork is refused by later
copies; the others can be brought up to date.

--follow goes on after the first pass, and copies what changes: it follows the feed
of SRC, which is its log if SRC is a SQLite file, and needs a relay otherwise. If
SRC has no feed, the heads are listed every 10 seconds. Failures of a storage are
reported and tried again. --follow runs until it is interrupted, which is its
regular end once it has caught up: the exit code is then 0. It can be begun again
at any time.

--cut-over moves the aggregates once everything has been copied: one after the
other is fenced in SRC, copied to its end, and marked as moved. Appends to it in
SRC then fail with an error that names DST, with exit code 4; reads go on. No
append that SRC has acknowledged is lost. Append to an aggregate in DST only after
SRC says that it has moved. An interrupted cut-over goes on when it is run again,
with the same URLs. Aggregates that are created in SRC later are not fenced: stop
their writers, or let --follow --cut-over move them as they come. The way back is
ropewalk copy DST SRC --cut-over.

Feeds, subscriptions and snapshots are not copied: DST has its own. Do not run
ropewalk gc --delete on DST before the copy has ended.`,
		Example: `  ropewalk copy file:shop.db 'aws://acme-orders/?table=acme-heads&region=eu-west-1'
  ropewalk copy s3://acme-orders file:backup.db --prefix order- --since 2026-11-01
  ropewalk copy s3://acme-orders file:fork.db --at 2026-11-01T09:30:00Z
  ropewalk copy 'aws://acme-orders/?table=acme-heads&region=eu-west-1' azure://acme --follow
  ropewalk copy 'aws://acme-orders/?table=acme-heads&region=eu-west-1' azure://acme --cut-over`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeStores,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCopy(cmd.Context(), std, stores, f, args[0], args[1])
		},
	}
	f.add(cmd)
	return cmd
}

// add adds the flags to the command.
func (f *copyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.prefix, "prefix", "", "copy the aggregates whose IDs begin with `TEXT`")
	flags.StringVar(&f.since, "since", "", "copy the aggregates that were appended to at or after `TIME`, and all tombstones")
	flags.StringVar(&f.at, "at", "", "copy the aggregates as of a `VERSION`, a TIME, or one as of ID@VERSION or ID@{TIME}")
	flags.BoolVar(&f.follow, "follow", false, "go on after that, and copy what changes, until interrupted")
	flags.BoolVar(&f.cutOver, "cut-over", false, "move the aggregates: SRC refuses appends to them from then on")
	flags.IntVar(&f.parallel, "parallel", 16, "work on `N` aggregates at once")
	completeFlag(cmd, "at", nil, cobra.ShellCompDirectiveDefault)
}

// options checks the flags. The ID names the only aggregate to copy; it is empty for all.
func (f copyFlags) options() (id string, out transfer.Options, err error) {
	out = transfer.Options{Prefix: f.prefix, Parallel: f.parallel}
	if f.parallel < 1 || f.parallel > 1024 {
		return "", out, cliexit.Usagef("--parallel %d: want 1 to 1024", f.parallel)
	}
	if id, out.At, err = parseAt(f.at); err != nil {
		return "", out, err
	}
	if id != "" && f.prefix+f.since != "" {
		return "", out, cliexit.Usagef("--at %s names one aggregate, and --prefix and --since choose aggregates", ui.Quote(f.at))
	}
	if (f.follow || f.cutOver) && f.at+f.since != "" {
		return "", out, cliexit.Usagef("--follow and --cut-over copy everything: --at and --since do not go with them")
	}
	if f.since != "" {
		if out.Since, err = reference.ParseSince(f.since); err != nil {
			return "", out, cliexit.Usagef("--since: %w", err)
		}
	}
	return id, out, nil
}

func runCopy(ctx context.Context, std *ui.Streams, stores *storeFlags, f copyFlags, src, dst string) error {
	id, options, err := f.options()
	stores.others = append(stores.others, src, dst)
	switch {
	case err != nil:
		return err
	case stores.value != "":
		return cliexit.Usagef("copy takes the URLs of both stores as arguments, and --store does not go with them")
	case src == dst:
		return cliexit.Usagef("both arguments name the same store")
	}
	return withURL(ctx, stores, src, false, func(from *store) error {
		return withURL(ctx, stores, dst, true, func(to *store) error {
			c := copying{Streams: std, src: src, dst: dst, total: copyJSON{Kind: ui.KindOf("copy")}, bar: std.NewProgress(-1, false, "aggregates")}
			err := c.copy(ctx, from, to, f, id, options)
			c.bar.End()
			return c.finish(err)
		})
	})
}

// copy copies one aggregate, or all of them, once or until the context ends.
func (c *copying) copy(ctx context.Context, from, to *store, f copyFlags, id string, options transfer.Options) error {
	source, destination := transfer.Storage{Changesets: from.objects, Heads: from.heads}, transfer.Storage{Changesets: to.objects, Heads: to.heads}
	if f.cutOver {
		options.MoveFrom, options.MoveTo = c.Redacted(c.src), c.Redacted(c.dst)
		err := c.cutOver(ctx, transfer.New(source, destination, &options))
		if err != nil || len(c.failed) > 0 || !f.follow {
			return err
		}
	}
	switch {
	case f.follow:
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		p := pursuit{copying: c, cancel: cancel, refused: map[string]transfer.Report{}}
		defer p.rest()
		options.Retry = p.retry
		return p.run(ctx, transfer.New(source, destination, &options).Follow(ctx))
	case id != "":
		return c.run(one(transfer.New(source, destination, &options).Copy(ctx, id)))
	default:
		return c.run(transfer.New(source, destination, &options).CopyAll(ctx))
	}
}

// cutOver moves everything, in passes until nothing is left. Nothing is moved unless
// everything could be copied.
func (c *copying) cutOver(ctx context.Context, all *transfer.Copier) error {
	if err := c.run(all.CopyAll(ctx)); err != nil {
		return err
	}
	if len(c.failed) > 0 {
		c.Warn("nothing was moved, since not everything could be copied")
		return nil
	}
	c.moving = true
	for before := int64(-1); c.total.Moved > before && len(c.failed) == 0; {
		before = c.total.Moved
		if err := c.run(all.MoveAll(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// one yields the report of a copy of one aggregate.
func one(r transfer.Report, err error) iter.Seq2[transfer.Report, error] {
	r.Err = err
	return func(yield func(transfer.Report, error) bool) { yield(r, nil) }
}

// run takes all reports. A storage that is unavailable ends the work on all aggregates.
func (c *copying) run(reports iter.Seq2[transfer.Report, error]) error {
	for r, err := range reports {
		if err == nil && (cliexit.Unavailable(r.Err) || errors.Is(r.Err, context.Canceled)) {
			err = r.Err
		}
		if err == nil {
			err = c.take(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
