package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// migrateJSON is the result of migrate with --json.
type migrateJSON struct {
	ui.Kind
	Store string `json:"store"`
	// Migrates says whether stores of this kind are ever migrated.
	Migrates bool `json:"migrates"`
}

func newMigrate(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the SQLite file of an older version up to date, ahead of time",
		Long: `Bring the SQLite file of an older version to the tables of this version. The first
program of this version that opens the file does the same, which takes a while if
there are many changesets. Back the file up first: ropewalk backup.

The migration is one transaction: one that fails or is killed has changed nothing.
Programs of the older version cannot use the file afterwards.
Other stores need no migration.`,
		Example:           `  ropewalk migrate --store file:shop.db`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runMigrate(cmd.Context(), std, stores) },
	}
}

func runMigrate(ctx context.Context, std *ui.Streams, stores *storeFlags) error {
	l, err := stores.location()
	if err != nil {
		return err
	}
	file, migrates := l.(location.SQLiteFile)
	if migrates {
		if err := file.Migrate(ctx); err != nil {
			return err
		}
	}
	url := redact.URL(stores.url())
	switch {
	case std.JSON:
		return std.Emit(migrateJSON{ui.KindOf("migrate"), url, migrates})
	case migrates:
		return std.Print("%s has the tables of this version\n", url)
	default:
		return std.Print("nothing to do: %s is not a SQLite file\n", url)
	}
}
