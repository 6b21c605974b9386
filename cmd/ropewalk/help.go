package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// familiarNames are the names of other tools for the commands.
var familiarNames = map[string]string{
	"rm": "erase", "remove": "erase", "del": "erase", "delete": "erase", "drop": "erase",
	"get": "cat", "read": "cat", "fetch": "cat", "history": "log", "events": "log --events", "grep": "log --events", "search": "log --events", "find": "log --events",
	"add": "append", "put": "append", "write": "append", "push": "append", "create": "append --new, or init", "list": "ls",
	"load": "import", "dump": "export", "check": "verify, or doctor", "health": "doctor", "diagnose": "doctor", "ping": "doctor", "fsck": "verify", "prune": "gc", "clean": "gc", "stat": "head", "repair": "rebuild-head", "tail": "watch", "follow": "watch", "subscribe": "watch",
	"compare":      "diff",
	"subscription": "subscriptions", "consumers": "subscriptions", "upgrade": "migrate", "sweep": "feed sweep", "status": "feed status", "lag": "feed status",
}

// newHelp replaces cobra's help command, which accepts a command that does not
// exist.
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
