package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// backupJSON is the result of backup with --json.
type backupJSON struct {
	ui.Kind
	Store string `json:"store"`
	File  string `json:"file"`
}

func newBackup(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a SQLite store to a new file, also while it is in use",
		Long: `Copy a store in a SQLite file to a new file. The copy is the store as of one
moment, in one file, and is on the disk when the command ends. Other programs may
read and append in the meantime. An existing FILE is left as it is.

Do not copy the file of a store with other tools while a program has it open: the
newest changesets are in the -wal file beside it.

ropewalk restore puts the copy back. Stores in the cloud have backups of their
own: see docs/restore.md.`,
		Example:           "  ropewalk backup ropewalk-2026-11-28.db",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return backUpStore(cmd.Context(), std, stores, args[0]) },
	}
}

func backUpStore(ctx context.Context, std *ui.Streams, stores *storeFlags, file string) error {
	f, err := stores.sqliteFile("backup")
	if err != nil {
		return err
	}
	if err := f.BackUp(ctx, file); err != nil {
		return err
	}
	if std.JSON {
		err = std.Emit(backupJSON{ui.KindOf("backup"), stores.url(), file})
	} else {
		err = std.Print("%s is a backup of %s\n", file, stores.url())
	}
	return std.Unread(err, "%s is a backup of %s", file, stores.url())
}
