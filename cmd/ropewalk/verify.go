package main

import (
	"context"
	"iter"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	all, headers, internal bool
	digest, archive        string
}

func newVerify(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify ID... | --all | --archive DST",
		Short: "Prove that the stored objects are as they were written",
		Long: `Read every stored object of the aggregates, committed and orphaned alike, and check
its hashes, its links and the digests that chain the whole history. Each fault is
a line that names the object; the exit code is then 6. Orphans alone are no
failure.

With --all, verify also proves that each commit of several aggregates is in all of them.
A torn commit, which only some of them have, is a warning and no fault: no object is
damaged. It comes from heads that were restored and are not of one moment, or from a copy
of some aggregates. With --headers, parts in packs are left unread.

With --digest, the chain must have a changeset with that digest. If you kept a
digest (ropewalk head --json prints it), verify proves that nothing up to there
has changed since.

With --archive, every row of an archive is proved against its chain: the files are
as the manifests say, and have the rows of each changeset up to the archive's
position exactly once, as the changeset says, and no others. Rows of an aggregate
that was erased in the meantime cannot be proved, and are counted. They are no
failure until ropewalk archive erase has removed them.`,
		Example: `  ropewalk verify order-4711 order-4712
  ropewalk verify --all --headers
  ropewalk verify order-4711 --digest t9Qw5u4pWv1f4hJ0b8C3mX6yZ2aR7dE9kL1nO5sT0gU
  ropewalk verify --archive ./orders-archive`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runVerify(cmd, std, stores, f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "verify every aggregate of the store")
	flags.BoolVar(&f.headers, "headers", false, "leave the contents unread: metadata only")
	addInternal(cmd, &f.internal, "verify")
	flags.StringVar(&f.digest, "digest", "", "the chain must have a changeset with this `DIGEST`")
	flags.StringVar(&f.archive, "archive", "", "prove the archive in `DST`: a folder, s3:// or azure://")
	return cmd
}

func runVerify(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f verifyFlags, args []string) error {
	// The record of each object, and each row of a batch, lives until it is proved.
	// Collecting earlier keeps the heap smaller.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	if cmd.Flags().Changed("archive") {
		if len(args) > 0 || f != (verifyFlags{archive: f.archive}) {
			return cliexit.Usagef("--archive stands alone: the whole archive is verified")
		}
		return verifyArchive(cmd.Context(), std, stores, f.archive)
	}
	ids, kept, err := f.parse(args)
	if err != nil {
		return err
	}
	return withStore(cmd.Context(), stores, func(s *store) error {
		v := verifying{Streams: std, bar: std.NewProgress(-1, false, "changesets")}
		in := inspect.New(s.objects, s.heads, &inspect.Options{HeadersOnly: f.headers, Internal: f.internal, Progress: func() { v.bar.Add(1) }})
		reports := in.VerifyAll(cmd.Context())
		if v.commits = in.Commits(); !f.all {
			reports, v.commits = verifyEach(cmd.Context(), in, ids, kept), nil
		}
		return v.run(cmd.Context(), reports)
	})
}

func (f verifyFlags) parse(args []string) (ids []string, kept changeset.Digest, err error) {
	switch {
	case f.all && len(args) > 0:
		return nil, kept, cliexit.Usagef("--all and aggregate IDs do not go together")
	case !f.all && len(args) == 0:
		return nil, kept, cliexit.Usagef("name the aggregates, or verify all of them with --all")
	case f.digest != "" && len(args) != 1:
		return nil, kept, cliexit.Usagef("--digest belongs to one aggregate: name it")
	}
	if f.digest != "" {
		if kept, err = changeset.ParseDigest(f.digest); err != nil {
			return nil, kept, cliexit.Usagef("--digest: %w", err)
		}
	}
	if err := refuseInternal(f.internal, args); err != nil {
		return nil, kept, err
	}
	ids, err = reference.ParseIDs(args)
	return ids, kept, err
}

func verifyEach(ctx context.Context, in *inspect.Inspector, ids []string, kept changeset.Digest) iter.Seq2[inspect.Report, error] {
	return func(yield func(inspect.Report, error) bool) {
		for _, id := range ids {
			if r, err := in.VerifyDigest(ctx, id, kept); !yield(r, err) {
				return
			}
		}
	}
}
