// Package archive keeps the history of a store as Parquet files, for SQL.
//
//	a := archive.Open(archive.NewFolder("orders-archive"), nil)
//	report, err := a.Run(ctx, feed.Open(store, nil))
//
// [Archive.Run] reads the feed from the place where the archive ends, and writes
// the rows of the changesets to files: a folder for each day of recording and type
// of event, and in each file the rows sorted by aggregate, version and index. A
// numbered manifest then names the files and the new position. Readers take the
// files that a manifest has added and no later manifest has removed
// ([Archive.Files]), so that they see each row once, also after an interruption.
//
// An archive is in a [Destination]: a folder, or a service in a cloud. Manifests are
// create-only, so that any number of archivers may run: the manifest of one wins, and
// the others go on from there.
//
// The rows of an aggregate that was erased stay until [Archive.Erase] has rewritten
// the files that contain them. [Archive.Verify] proves the rows against the chains.
package archive

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
)

// ErrNoArchive means that a destination has no archive: no run has ever written a
// manifest there.
var ErrNoArchive = errors.New("there is no archive")

// Options are the settings of an [Archive]. Zero values stand for the defaults.
type Options struct {
	// BatchRows is the largest number of rows between two manifests, 50,000 by
	// default, and BatchBytes about how many bytes these rows take in memory, 32 MiB
	// by default. A changeset is never divided. With the defaults, an archiver holds
	// about 120 MiB.
	BatchRows  int
	BatchBytes int
	// Progress, if not nil, is called with the number of changesets or files that were
	// done since the last call, by one goroutine at a time.
	Progress func(done int)
	// Logger receives unexpected events, and never content. By default nothing is
	// logged.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.BatchRows = cmp.Or(max(out.BatchRows, 0), 50_000)
	out.BatchBytes = cmp.Or(max(out.BatchBytes, 0), 32<<20)
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	if out.Progress == nil {
		out.Progress = func(int) {}
	}
	return out
}

// Archive is the archive of one store. It is safe for concurrent use, if its
// destination is, and needs no closing.
type Archive struct {
	destination Destination
	options     Options
}

// Open returns the archive in a destination, which may be empty. It does no I/O. Nil
// options stand for the defaults.
func Open(destination Destination, options *Options) *Archive {
	return &Archive{destination, options.withDefaults()}
}

// Files returns the files that the archive consists of, sorted by name. Other files in
// the destination do not belong to it: they were left by an interruption, or were
// removed by a later manifest, and the next [Archive.Run] deletes them.
//
// The error is a [*ropewalk.CorruptError] if a manifest is missing or damaged, matches
// [ropewalk.ErrUnsupportedFormat] if a newer version of the library wrote it, or is the
// destination's. It matches [ErrNoArchive] if the destination has no archive.
func (a *Archive) Files(ctx context.Context) ([]File, error) {
	s, err := a.loadExisting(ctx)
	if err != nil {
		return nil, err
	}
	return s.files(), nil
}

// files returns the files of the archive, sorted by name.
func (s *state) files() []File {
	files := make([]File, 0, len(s.live))
	for _, f := range s.live {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}
