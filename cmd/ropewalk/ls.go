package main

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/parallel"
)

// lsFlags are the flags of ls.
type lsFlags struct {
	limit    uint64
	after    string
	long     bool
	sizes    bool
	erased   bool
	internal bool
}

func newLs(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f lsFlags
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the aggregates that have a chain",
		Long: `List the IDs of the aggregates that have a chain, in the order of the storage,
which need not be the order of the names. A prefix leaves other aggregates out;
all heads are read nevertheless. A head that does not decode is reported, the
listing continues, and the exit code is 6.

--long shows the newest version, when it was recorded, and how long ago by the clock
of this machine. --sizes adds the number of stored objects, orphans among them, and
the size of their bodies. It lists the objects of every aggregate, by a request or
more for each. What a head has in its tip is not an object.`,
		Example: `  ropewalk ls order-
  ropewalk ls --long --sizes -n 20`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := strings.Join(args, "")
			return withStore(cmd.Context(), stores, func(s *store) error { return runLs(cmd, std, s, f, prefix) })
		},
	}
	flags := cmd.Flags()
	flags.Uint64VarP(&f.limit, "limit", "n", 0, "list at most `N`; 0 lists all")
	flags.StringVar(&f.after, "after", "", "begin after this `ID`, the last one of an earlier list")
	flags.BoolVarP(&f.long, "long", "l", false, "show newest version, time, age and state")
	flags.BoolVar(&f.sizes, "sizes", false, "show the number and the size of the stored objects as well")
	flags.BoolVar(&f.erased, "erased", false, "list erased aggregates as well")
	addInternal(cmd, &f.internal, "list")
	return cmd
}

func runLs(cmd *cobra.Command, std *ui.Streams, s *store, f lsFlags, prefix string) error {
	if f.after != "" {
		if err := changeset.ValidateAggregateID(f.after); err != nil {
			return err
		}
	}
	l := listing{Streams: std, lsFlags: f, prefix: prefix, now: time.Now()}
	l.out = ui.NewTable(std.Out, l.columns()...).AlignRight(1, 3, 5, 6)
	err := l.print(cmd.Context(), s)
	if l.table() && !cliexit.IsOutput(err) {
		err = errors.Join(err, l.out.Flush())
	}
	return errors.Join(err, l.bad.report(std, "listed"))
}

// listing is a run of ls.
type listing struct {
	*ui.Streams
	lsFlags
	prefix string
	now    time.Time
	out    *ui.Table
	bad    damage // the heads that do not decode
}

// listed is a head that is listed, with what is stored of its aggregate if sizes are
// wanted.
type listed struct {
	head.Head
	stored *countJSON
}

// table reports whether the aggregates are rows of a table.
func (l *listing) table() bool { return (l.long || l.sizes) && !l.JSON }

func (l *listing) columns() []string {
	columns := []string{"AGGREGATE", "VERSION", "UPDATED", "AGE", "STATE"}
	if l.sizes {
		columns = append(columns, "OBJECTS", "SIZE")
	}
	return columns
}

// print prints each head as it comes.
func (l *listing) print(ctx context.Context, s *store) error {
	heads := func(ctx context.Context) iter.Seq2[head.Head, error] {
		return l.heads(headlist.All(ctx, s.heads, l.after))
	}
	for h, err := range parallel.Map(ctx, lsParallel, heads, func(ctx context.Context, h head.Head) (listed, error) { return l.size(ctx, s, h) }) {
		if err == nil {
			err = l.row(h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lsParallel is the number of aggregates whose objects are listed at once.
const lsParallel = 16

// heads yields the wanted heads, and keeps those that do not decode.
func (l *listing) heads(all iter.Seq2[headlist.Entry, error]) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		var n uint64
		for e, err := range all {
			switch {
			case err != nil:
				yield(head.Head{}, err)
				return
			case !l.wants(e):
				continue
			case e.Fault != nil:
				l.bad.add(e.AggregateID, e.Fault)
				continue
			}
			if n++; !yield(e.Head, nil) || n == l.limit {
				return
			}
		}
	}
}

func (l *listing) wants(e headlist.Entry) bool {
	erased := e.Head.State == head.Erased && !l.erased
	return !hidden(e.AggregateID, l.internal) && strings.HasPrefix(e.AggregateID, l.prefix) && !erased && e.Head.State != head.Void
}

// size counts the objects of an aggregate if that is wanted.
func (l *listing) size(ctx context.Context, s *store, h head.Head) (listed, error) {
	if !l.sizes {
		return listed{h, nil}, nil
	}
	out := listed{h, &countJSON{}}
	for o, err := range s.objects.Objects(ctx, h.AggregateID) {
		if err != nil {
			return out, err
		}
		out.stored.add(gc.Count{Objects: 1, Bytes: o.Size})
	}
	return out, nil
}

func (l *listing) row(h listed) error {
	switch {
	case l.JSON:
		out := newHeadJSON(h.Head)
		out.Stored = h.stored
		return l.Emit(out)
	case !l.table():
		return l.Print("%s\n", h.AggregateID)
	}
	cells := []string{h.AggregateID, strconv.FormatUint(h.Version, 10), ui.Seconds(h.UpdatedAt), ui.Age(l.now.Sub(h.UpdatedAt)), string(h.State)}
	if h.stored != nil {
		cells = append(cells, ui.Thousands(h.stored.Objects), ui.ByteSize(h.stored.Bytes))
	}
	return l.out.Row(cells...)
}
