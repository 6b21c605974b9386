package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"ropewalk/archive"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// archiveErasedJSON is the result of archive erase with --json.
type archiveErasedJSON struct {
	ui.Kind
	Archive    string `json:"archive"`
	Aggregates int64  `json:"aggregates"`
	Rows       int64  `json:"rows"`
	Files      int64  `json:"files"`
	Deleted    int64  `json:"deleted"`
}

func newArchiveErase(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "erase DST",
		Short: "Remove the rows of erased aggregates from an archive",
		Long: `Rewrite the files of an archive that have rows of aggregates whose erasure ropewalk
archive has recorded, and delete the files that were rewritten. The store itself is
not read. Running an interrupted command again finishes it; readers see the rows of
all other aggregates once at any time.

Copies that the storage keeps remain: old versions in a versioned bucket, deleted
blobs within their retention, backups. The manifests keep the IDs of the erased
aggregates.`,
		Example:           `  ropewalk archive ./orders-archive && ropewalk archive erase ./orders-archive`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runArchiveErase(cmd.Context(), std, stores, args[0])
		},
	}
}

func runArchiveErase(ctx context.Context, std *ui.Streams, stores *storeFlags, dst string) error {
	var log *slog.Logger
	if stores.verbose {
		log = location.NewLogger(std.Err, std.Redacted)
	}
	d, err := openArchive(ctx, std, log, dst)
	if err != nil {
		return err
	}
	bar := std.NewProgress(-1, false, "files")
	report, err := archive.Open(d, &archive.Options{Logger: log, Progress: func(done int) { bar.Add(int64(done)) }}).Erase(ctx)
	bar.End()
	if err != nil && report.Files == 0 {
		return explainArchive(err)
	}
	return errors.Join(err, printArchiveErased(std, dst, report))
}

func printArchiveErased(std *ui.Streams, dst string, r archive.EraseReport) error {
	done := fmt.Sprintf("erased %s: %s in %s, %s deleted",
		ui.Plural(r.Aggregates, "aggregate"), ui.Plural(r.Rows, "row"), ui.Plural(r.Files, "file"), ui.Plural(r.Deleted, "file"))
	if std.JSON {
		return std.Unread(std.Emit(archiveErasedJSON{ui.KindOf("archive-erased"), dst, r.Aggregates, r.Rows, r.Files, r.Deleted}), "%s", done)
	}
	return std.Unread(std.Print("%s\n", done), "%s", done)
}
