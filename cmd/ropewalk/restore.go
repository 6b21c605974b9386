package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// restoreJSON is the result of restore with --json.
type restoreJSON struct {
	ui.Kind
	Store  string `json:"store"`
	File   string `json:"file"`
	Former string `json:"former,omitempty"`
}

func newRestore(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup of a SQLite store in its place",
		Long: `Put a backup in the place of a store in a SQLite file. FILE was written by ropewalk
backup, or is a copy of the file of a store that no program had open. It is read
and checked first, and stays as it is.

No program may have the store open: stop them first. The former store is kept
beside the new one, under a name that the command prints; nothing is deleted.`,
		Example:           "  ropewalk restore ropewalk-2026-11-28.db",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return restoreStore(cmd.Context(), std, stores, args[0])
		},
	}
}

func restoreStore(ctx context.Context, std *ui.Streams, stores *storeFlags, file string) error {
	f, err := stores.sqliteFile("restore")
	if err != nil {
		return err
	}
	former, err := f.Restore(ctx, file)
	switch {
	case err != nil:
		return err
	case std.JSON:
		err = std.Emit(restoreJSON{ui.KindOf("restore"), stores.url(), file, former})
	case former == "":
		err = std.Print("%s is restored from %s\n", stores.url(), file)
	default:
		err = std.Print("%s is restored from %s\nthe former store is kept: %s\n", stores.url(), file, former)
	}
	return std.Unread(err, "%s is restored from %s", stores.url(), file)
}
