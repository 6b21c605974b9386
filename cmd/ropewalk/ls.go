package main

import (
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

// lsFlags are the flags of ls.
type lsFlags struct {
	limit    uint64
	after    string
	long     bool
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
listing continues, and the exit code is 6.`,
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
	flags.BoolVarP(&f.long, "long", "l", false, "show newest version, time and state")
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
	out := ui.NewTable(std.Out, "AGGREGATE", "VERSION", "UPDATED", "STATE").AlignRight(1)
	bad, err := listHeads(std, out, f, headlist.All(cmd.Context(), s.heads, f.after), prefix)
	if f.long && !std.JSON && !cliexit.IsOutput(err) {
		err = errors.Join(err, out.Flush())
	}
	return errors.Join(err, bad.report(std, "listed"))
}

// listHeads prints each head as it comes, and returns those that do not decode.
func listHeads(std *ui.Streams, out *ui.Table, f lsFlags, all iter.Seq2[headlist.Entry, error], prefix string) (bad damage, err error) {
	var listed uint64
	for e, err := range all {
		if err != nil {
			return bad, err
		}
		switch {
		case hidden(e.AggregateID, f.internal) || !strings.HasPrefix(e.AggregateID, prefix) || e.Head.State == head.Erased && !f.erased, e.Head.State == head.Void:
			continue
		case e.Fault != nil:
			bad.add(e.AggregateID, e.Fault)
			continue
		}
		if err := printLs(std, out, e.Head, f.long); err != nil {
			return bad, err
		}
		if listed++; listed == f.limit {
			break
		}
	}
	return bad, nil
}

func printLs(std *ui.Streams, out *ui.Table, h head.Head, long bool) error {
	switch {
	case std.JSON:
		return std.Emit(newHeadJSON(h))
	case long:
		return out.Row(h.AggregateID, strconv.FormatUint(h.Version, 10), ui.Seconds(h.UpdatedAt), string(h.State))
	default:
		return std.Print("%s\n", h.AggregateID)
	}
}
