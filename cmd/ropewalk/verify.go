package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/inspect"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	all, headers bool
	digest       string
}

// problemJSON is one fault that verify has found, with --json.
type problemJSON struct {
	ui.Kind
	Aggregate string `json:"aggregate"`
	// Ref is the changeset; without it the head is meant.
	Ref    string `json:"ref,omitempty"`
	Object string `json:"object,omitempty"`
	Reason string `json:"reason"`
	// Missing is the changeset that Ref, or the head, refers to and that does not exist.
	Missing string `json:"missing,omitempty"`
}

// verifiedJSON is the summary of verify with --json.
type verifiedJSON struct {
	ui.Kind
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Bytes      int64 `json:"bytes"`
	Corrupt    int64 `json:"corrupt"`
	Orphans    int64 `json:"orphans"`
	Pending    int64 `json:"pending"`
	Ahead      int64 `json:"ahead"`
	Unknown    int64 `json:"unknown"`
	// Digest is the changeset that has the kept digest.
	Digest *pointJSON `json:"digest,omitempty"`
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify ID... | --all",
		Short: "Prove that what is stored is what was written",
		Long: `Read all that is stored of the aggregates, committed and orphaned alike, and hold
it against its hashes, its links and the digests that chain the whole history.
Each fault is a line that names the object; then the exit code is 6. Orphans
alone are no failure.

With --digest, the chain must have a changeset with that digest: whoever kept
one (ropewalk head --json prints it) can prove that nothing up to there has
changed since.`,
		Example: `  ropewalk verify order-4711 order-4712
  ropewalk verify --all --headers
  ropewalk verify order-4711 --digest t9Qw5u4pWv1f4hJ0b8C3mX6yZ2aR7dE9kL1nO5sT0gU`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runVerify(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "verify every aggregate of the store")
	flags.BoolVar(&f.headers, "headers", false, "leave the contents unread: metadata only")
	flags.StringVar(&f.digest, "digest", "", "the chain must have a changeset with this `DIGEST`")
	return cmd
}

func (a *app) runVerify(cmd *cobra.Command, f verifyFlags, args []string) error {
	ids, kept, err := f.parse(args)
	if err != nil {
		return err
	}
	// The record of each object lives until its aggregate is done: garbage
	// need not grow to as much before it is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	return a.reading(cmd.Context(), func(s *store) error {
		v := verifying{app: a, bar: a.NewProgress(-1, false, "changesets")}
		in := inspect.New(s.objects, s.heads, &inspect.Options{HeadersOnly: f.headers, Progress: func() { v.bar.Add(1) }})
		reports := in.VerifyAll(cmd.Context())
		if !f.all {
			reports = verifyEach(cmd.Context(), in, ids, kept)
		}
		return v.run(reports)
	})
}

func (f verifyFlags) parse(args []string) (ids []string, kept changeset.Digest, err error) {
	switch {
	case f.all && len(args) > 0:
		return nil, kept, cliexit.Usagef("--all and aggregate IDs do not go together")
	case !f.all && len(args) == 0:
		return nil, kept, cliexit.Usagef("name the aggregates, or verify all of them with --all")
	case f.digest != "" && len(args) != 1:
		return nil, kept, cliexit.Usagef("--digest is that of one aggregate: name it")
	}
	if f.digest != "" {
		if kept, err = changeset.ParseDigest(f.digest); err != nil {
			return nil, kept, cliexit.Usagef("--digest: %w", err)
		}
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

// verifying is one run of verify. Its lines wait for the end, so that the
// progress bar has the terminal for itself; --json has no bar, and no wait.
type verifying struct {
	*app
	bar      *ui.Progress
	total    verifiedJSON
	hurt     int64 // aggregates with a fault
	problems []inspect.Problem
	ahead    []string
	missing  error // of the aggregates that do not exist; nil if all do
}

func (v *verifying) run(reports iter.Seq2[inspect.Report, error]) error {
	v.total.Kind = ui.KindOf("verified")
	ended := v.takeAll(reports)
	v.bar.End()
	if cliexit.IsOutput(ended) {
		return ended
	}
	if ended != nil && v.total.Aggregates == 0 {
		return errors.Join(ended, v.missing) // a total would read as an empty store
	}
	if err := v.printProblems(); err != nil {
		return err
	}
	for _, id := range v.ahead {
		v.Warn("%s has changesets that were built on a revision which its head has not reached: ropewalk graph %s", id, reference.Operand(id))
	}
	if err := v.printTotal(); err != nil {
		return err
	}
	if v.total.Corrupt == 0 {
		return errors.Join(ended, v.missing)
	}
	err := fmt.Errorf("verify found %s in %s", ui.Plural(v.total.Corrupt, "fault"), ui.Plural(v.hurt, "aggregate"))
	if ended != nil {
		return fmt.Errorf("%w; before that, %w", ended, err)
	}
	return cliexit.Wrap(cliexit.Found, errors.Join(err, v.missing))
}

// takeAll takes in all reports, and returns the error that ended them. That an
// aggregate does not exist ends nothing: the others are verified all the same.
func (v *verifying) takeAll(reports iter.Seq2[inspect.Report, error]) error {
	for r, err := range reports {
		switch {
		case err == nil:
			err = v.take(r)
		case errors.Is(err, ropewalk.ErrNotFound) && !cliexit.Unavailable(err):
			v.missing, err = errors.Join(v.missing, err), nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifying) take(r inspect.Report) error {
	t := &v.total
	t.Aggregates++
	t.Changesets += int64(r.Committed)
	t.Bytes += r.Bytes
	t.Corrupt += int64(len(r.Problems))
	t.Orphans += int64(r.Lost)
	t.Pending += int64(r.Pending)
	t.Ahead += int64(r.Ahead)
	t.Unknown += int64(r.Unknown)
	if r.Ahead > 0 {
		v.ahead = append(v.ahead, r.AggregateID)
	}
	if !r.Kept.ID.IsZero() {
		t.Digest = newPointJSON(head.Head{Ref: r.Kept})
	}
	if len(r.Problems) > 0 {
		v.hurt++
	}
	if !v.JSON {
		v.problems = append(v.problems, r.Problems...)
		return nil
	}
	for _, p := range r.Problems {
		if err := v.Emit(newProblemJSON(p)); err != nil {
			return err
		}
	}
	return nil
}
