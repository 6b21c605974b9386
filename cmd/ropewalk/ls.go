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
	"ropewalk/internal/reserved"
)

// lsFlags are the flags of ls.
type lsFlags struct {
	limit  uint64
	after  string
	long   bool
	erased bool
}

func newLs(a *app) *cobra.Command {
	var f lsFlags
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the aggregates that have a chain",
		Long: `List the IDs of the aggregates that have a chain, in the order of the storage,
which need not be that of their names. A prefix leaves the others out, but all
heads are read. A head that does not decode is reported, and the listing goes
on; the exit code is 6 then.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := strings.Join(args, "")
			return a.reading(cmd.Context(), func(s *store) error { return a.runLs(cmd, s, f, prefix) })
		},
	}
	flags := cmd.Flags()
	flags.Uint64VarP(&f.limit, "limit", "n", 0, "list at most `N`; 0 lists all")
	flags.StringVar(&f.after, "after", "", "begin behind this `ID`, the last one of an earlier list")
	flags.BoolVarP(&f.long, "long", "l", false, "show newest version, time and state")
	flags.BoolVar(&f.erased, "erased", false, "list erased aggregates as well")
	return cmd
}

func (a *app) runLs(cmd *cobra.Command, s *store, f lsFlags, prefix string) error {
	if f.after != "" {
		if err := changeset.ValidateAggregateID(f.after); err != nil {
			return err
		}
	}
	out := ui.NewTable(a.Out, "AGGREGATE", "VERSION", "UPDATED", "STATE").AlignRight(1)
	bad, err := a.listHeads(out, f, headlist.All(cmd.Context(), s.heads, f.after), prefix)
	if f.long && !a.JSON && !cliexit.IsOutput(err) {
		err = errors.Join(err, out.Flush())
	}
	return errors.Join(err, bad.report(a, "listed"))
}

// listHeads prints each head as it comes, and returns those that do not decode.
func (a *app) listHeads(out *ui.Table, f lsFlags, all iter.Seq2[headlist.Entry, error], prefix string) (bad damage, err error) {
	var listed uint64
	for e, err := range all {
		if err != nil {
			return bad, err
		}
		switch {
		case reserved.Is(e.AggregateID) || !strings.HasPrefix(e.AggregateID, prefix) || e.Head.State == head.Erased && !f.erased:
			continue
		case e.Fault != nil:
			bad.add(e.AggregateID, e.Fault)
			continue
		}
		if err := a.printLs(out, e.Head, f.long); err != nil {
			return bad, err
		}
		if listed++; listed == f.limit {
			break
		}
	}
	return bad, nil
}

func (a *app) printLs(out *ui.Table, h head.Head, long bool) error {
	switch {
	case a.JSON:
		return a.Emit(newHeadJSON(h))
	case long:
		return out.Row(h.AggregateID, strconv.FormatUint(h.Version, 10), ui.Seconds(h.UpdatedAt), string(h.State))
	default:
		return a.Print("%s\n", h.AggregateID)
	}
}
