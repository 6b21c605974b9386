package main

import (
	"github.com/spf13/cobra"
)

// filesAfterID completes files after the first argument. It does not complete an
// aggregate ID, since a TAB must not cost requests.
func filesAfterID(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completeFiles completes the name of a file.
func completeFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completeFlag completes the values of a flag, which must exist.
func completeFlag(cmd *cobra.Command, flag string, values []string, more cobra.ShellCompDirective) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|more))
}

func completeCommands(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if found, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
		names = parts(found)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeStores completes how the URLs of two stores begin.
func completeStores(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return storeSchemes, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
