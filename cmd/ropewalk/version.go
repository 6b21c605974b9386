package main

import (
	"cmp"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// released is the version of a release, which its build sets; empty in other builds.
var released string

// versionJSON is the result of version with --json.
type versionJSON struct {
	ui.Kind
	Version string `json:"version"`
	Go      string `json:"go"`
	// Format is the format of the changesets and heads that this version writes.
	Format int `json:"format"`
}

func newVersion(std *ui.Streams) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this command",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := versionJSON{Kind: ui.KindOf("version"), Version: "unknown", Format: changeset.Format}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Version, v.Go = cmp.Or(released, info.Main.Version), info.GoVersion
			}
			if std.JSON {
				return std.Emit(v)
			}
			return std.Print("ropewalk %s (%s), format %d\n", v.Version, v.Go, v.Format)
		},
	}
}
