package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ropewalk/archive"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// archivedJSON is the result of archive with --json.
type archivedJSON struct {
	ui.Kind
	Archive    string `json:"archive"`
	Changesets int64  `json:"changesets"`
	Rows       int64  `json:"rows"`
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	Erased     int64  `json:"erased"`
	Pending    int64  `json:"pending"`
	Orphans    int64  `json:"orphans"`
	Position   string `json:"position"`
}

func newArchive(std *ui.Streams, stores *storeFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive DST",
		Short: "Keep the history as Parquet files, for SQL",
		Long: `Add to an archive what the feed has after the place where the archive ends. DST is a
folder, s3://BUCKET/PREFIX?region=R, or azure://ACCOUNT/PREFIX?container=C, where C
is "archive" by default. The bucket or the container must exist.

The archive has a folder for each day of recording (UTC) and type of event, and in
it Parquet files with a row for each event. Manifests, in the folder manifests, name
the files that belong to it: see docs/analytics.md. The command may be interrupted
and repeated, and run on a schedule. Several may run at once.

Rows of an aggregate that was erased stay until ropewalk archive erase removes
them. ropewalk verify --archive proves the rows against the chains.`,
		Example: `  ropewalk archive ./orders-archive
  ropewalk archive 's3://acme-archive/orders/?region=eu-west-1'
  ropewalk archive erase ./orders-archive`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return runArchive(cmd.Context(), std, stores, args[0]) },
	}
	cmd.AddCommand(newArchiveErase(std, stores))
	return cmd
}

func runArchive(ctx context.Context, std *ui.Streams, stores *storeFlags, dst string) error {
	// A batch of rows lives until it is written. Collecting earlier keeps the heap smaller.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	return withStore(ctx, stores, func(s *store) error {
		d, err := openArchive(ctx, std, s.log, dst)
		if err != nil {
			return err
		}
		bar := std.NewProgress(-1, false, "changesets")
		report, err := archive.Open(d, &archive.Options{Logger: s.log, Progress: func(done int) { bar.Add(int64(done)) }}).Run(ctx, s.feed())
		bar.End()
		if err != nil && report.Files == 0 {
			return explainArchive(err)
		}
		return errors.Join(explainArchive(err), printArchived(std, dst, report))
	})
}

// explainArchive adds a class and a hint to an error of an archive.
func explainArchive(err error) error {
	switch {
	case errors.Is(err, feed.ErrOtherHistory):
		return cliexit.WithHint(err, "the archive stays as it is: find out whether the store was restored or its feed dropped, and begin a new archive elsewhere")
	case errors.Is(err, feed.ErrNoFeed):
		return cliexit.WithHint(err, "a relay makes it: ropewalk relay --once")
	case errors.Is(err, archive.ErrNoArchive):
		return cliexit.WithHint(cliexit.Wrap(cliexit.NotFound, err), "check its name; ropewalk archive makes it, once the feed has changes")
	case errors.Is(err, archive.ErrChanged):
		return cliexit.WithHint(err, "verify it again, when ropewalk archive erase has ended")
	}
	return err
}

func printArchived(std *ui.Streams, dst string, r archive.Report) error {
	done := fmt.Sprintf("archived %s, %s in %s, %s",
		ui.Plural(r.Changesets, "changeset"), ui.Plural(r.Rows, "row"), ui.Plural(r.Files, "file"), ui.SpacedSize(r.Bytes))
	if r.Erased > 0 {
		done += ", and recorded " + ui.Plural(r.Erased, "erasure")
	}
	if r.Pending > 0 {
		defer std.Warn("%s may still have rows in the archive: ropewalk archive erase %s", ui.Plural(r.Pending, "erased aggregate"), ui.Operand(dst))
	}
	if std.JSON {
		return std.Unread(std.Emit(archivedJSON{
			ui.KindOf("archived"), dst, r.Changesets, r.Rows, r.Files, r.Bytes, r.Erased, r.Pending, r.Orphans, r.Position.String(),
		}), "%s", done)
	}
	return std.Unread(std.Print("%s\n", done), "%s", done)
}

// openArchive opens the destination of an archive. Its requests are logged if there is
// a log.
func openArchive(ctx context.Context, std *ui.Streams, log *slog.Logger, dst string) (archive.Destination, error) {
	d, err := location.OpenArchive(ctx, dst, std.Env)
	if err != nil || log == nil {
		return d, err
	}
	return location.LoggedArchive(log, d), nil
}
