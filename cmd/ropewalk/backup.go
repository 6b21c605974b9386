package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// backupJSON is what backup prints with --json.
type backupJSON struct {
	ui.Kind
	Store string `json:"store"`
	File  string `json:"file"`
}

func newBackup(a *app) *cobra.Command {
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
		RunE:              func(cmd *cobra.Command, args []string) error { return a.backUp(cmd.Context(), args[0]) },
	}
}

func (a *app) backUp(ctx context.Context, file string) error {
	f, err := a.sqliteFile("backup")
	if err != nil {
		return err
	}
	if err := f.backUp(ctx, file); err != nil {
		return err
	}
	if a.JSON {
		err = a.Emit(backupJSON{ui.KindOf("backup"), a.storeURL(), file})
	} else {
		err = a.Print("%s is a backup of %s\n", file, a.storeURL())
	}
	return a.Unread(err, "%s is a backup of %s", file, a.storeURL())
}

// sqliteFile returns the SQLite file that the store's URL names. The command
// needs it: other stores are a failure of usage.
func (a *app) sqliteFile(command string) (sqliteFile, error) {
	p, err := a.place(a.storeURL(), a.Env)
	if err != nil {
		return "", err
	}
	f, ok := p.(sqliteFile)
	if !ok {
		return "", cliexit.WithHint(cliexit.Usagef("%s is for stores in a SQLite file, file:PATH, and the store is another one", command),
			"docs/restore.md says how each storage is backed up")
	}
	return f, nil
}

// completeFiles completes the name of a file.
func completeFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}
