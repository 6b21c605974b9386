package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// argumentNames are the names of what a usage line asks for, by its placeholders up to there.
var argumentNames = map[string]string{
	"ID":        "the aggregate",
	"ID|RANGE":  "the aggregate, or some of its versions",
	"REF":       "the changeset",
	"REF|RANGE": "the changeset, or some versions of an aggregate",
	"DST":       "the archive",
	"FILE":      "the file",
	"SRC":       "the store to copy from, and the store to copy to",
	"SRC DST":   "the store to copy to as well",
	"URL":       "the store",
}

// explainAll explains the arguments of every command below cmd.
func explainAll(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		explainArguments(c)
		explainAll(c)
	}
}

// explainArguments replaces cobra's messages about the number of arguments by
// messages that name the missing argument, with an example.
func explainArguments(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		if names := strings.Fields(cmd.Use)[1:]; len(args) < len(names) && !strings.HasPrefix(names[len(args)], "[") {
			return missingArgument(cmd, strings.Join(names[:len(args)+1], " "))
		}
		i := 0 // of the first argument that is one too many
		for i < len(args)-1 && check(cmd, args[:i+1]) == nil {
			i++
		}
		if i == 0 && len(cmd.ValidArgs) > 0 {
			return cliexit.Usagef("%q is not one of %s", args[0], strings.Join(cmd.ValidArgs, ", "))
		}
		return cliexit.WithHint(cliexit.Usagef("unexpected argument %q", args[i]), "usage: %s", cmd.UseLine())
	}
}

// missingArgument names the argument of the last placeholder.
func missingArgument(cmd *cobra.Command, placeholder string) error {
	if names := parts(cmd); placeholder == "COMMAND" {
		return cliexit.WithHint(cliexit.Usagef("name one of %s", strings.Join(names, ", ")), "for example: %s", strings.TrimSpace(cmd.Example))
	}
	if len(cmd.ValidArgs) > 0 {
		return cliexit.WithHint(cliexit.Usagef("name one of %s", strings.Join(cmd.ValidArgs, ", ")), "for example: %s %s", cmd.CommandPath(), cmd.ValidArgs[0])
	}
	what, ok := argumentNames[placeholder]
	if !ok {
		what = placeholder
	}
	example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	if example == "" {
		example = cmd.CommandPath() + " order-4711"
	}
	return cliexit.WithHint(cliexit.Usagef("name %s", what), "for example: %s", example)
}
