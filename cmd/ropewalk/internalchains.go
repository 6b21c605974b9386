package main

import (
	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/reserved"
)

// addInternal adds the flag --internal to a command that lists aggregates.
func addInternal(cmd *cobra.Command, internal *bool, verb string) {
	cmd.Flags().BoolVar(internal, "internal", false, verb+" ropewalk's own chains as well: feeds and subscriptions")
}

// hidden reports whether a list leaves an aggregate out.
func hidden(aggregateID string, internal bool) bool { return !internal && reserved.Is(aggregateID) }

// refuseInternal refuses --internal together with aggregate IDs.
func refuseInternal(internal bool, args []string) error {
	if internal && len(args) > 0 {
		return cliexit.Usagef("--internal and aggregate IDs do not go together: a chain that is named is never hidden")
	}
	return nil
}
