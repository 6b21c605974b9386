package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newFeed(std *ui.Streams, stores *storeFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feed COMMAND",
		Short: "Show, prove, repair or drop the feed of a store",
		Long: `The feed has every change of the store in one order, which is the order of each
aggregate's versions. watch follows it, and subscriptions read it. Unless the
store is a SQLite file, a relay must run somewhere to extend it: ropewalk relay.`,
		Example: `  ropewalk feed status`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return unknownPart(cmd, args[0]) },
	}
	cmd.AddCommand(newFeedStatus(std, stores), newFeedVerify(std, stores), newFeedSweep(std, stores), newFeedDrop(std, stores))
	return cmd
}

// unknownPart returns the error of an argument that should have been a subcommand.
func unknownPart(cmd *cobra.Command, arg string) error {
	return cliexit.WithHint(cliexit.Usagef("%q is not one of %s", arg, strings.Join(parts(cmd), ", ")), "see %s --help", cmd.CommandPath())
}

// parts returns the names of the subcommands.
func parts(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return names
}
