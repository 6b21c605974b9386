package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// familiarNames are names that other tools have for what a command does.
var familiarNames = map[string]string{
	"rm": "erase", "remove": "erase", "del": "erase", "delete": "erase", "drop": "erase",
	"get": "cat", "read": "cat", "fetch": "cat", "history": "log", "events": "log --events", "grep": "log --events", "search": "log --events", "find": "log --events",
	"add": "append", "put": "append", "write": "append", "push": "append", "create": "append --new, or init", "list": "ls",
	"load": "import", "dump": "export", "check": "verify, or init --check", "fsck": "verify", "prune": "gc", "clean": "gc", "stat": "head", "repair": "rebuild-head",
}

// newHelp stands in for cobra's own help command, which is content with a
// command that does not exist.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Help about any command",
		ValidArgsFunction: completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return cliexit.WithHint(cliexit.Usagef("unknown command %q", strings.Join(args, " ")), "see ropewalk --help")
			}
			return found.Help()
		},
	}
}

func completeCommands(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, c := range cmd.Root().Commands() {
			names = append(names, c.Name())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
