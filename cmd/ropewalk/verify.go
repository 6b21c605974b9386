package main

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"ropewalk/changeset"
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
	kind
	Aggregate string `json:"aggregate"`
	// Ref is the changeset; without it the head is meant.
	Ref    string `json:"ref,omitempty"`
	Object string `json:"object,omitempty"`
	Reason string `json:"reason"`
	// Missing is the changeset that Ref, or the head, refers to and that is not there.
	Missing string `json:"missing,omitempty"`
}

// verifiedJSON is the summary of verify with --json.
type verifiedJSON struct {
	kind
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Bytes      int64 `json:"bytes"`
	Corrupt    int64 `json:"corrupt"`
	Orphans    int64 `json:"orphans"`
	Pending    int64 `json:"pending"`
	Ahead      int64 `json:"ahead"`
	Untold     int64 `json:"untold"`
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
	return a.reading(cmd.Context(), func(s *store) error {
		v := verifying{app: a, bar: a.newProgress(-1, false, "changesets")}
		in := inspect.New(s.objects, s.heads, &inspect.Options{HeadersOnly: f.headers, Progress: func() { v.bar.add(1) }})
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
		return nil, kept, usagef("--all and aggregate IDs do not go together")
	case !f.all && len(args) == 0:
		return nil, kept, usagef("name the aggregates, or verify all of them with --all")
	case f.digest != "" && len(args) != 1:
		return nil, kept, usagef("--digest is that of one aggregate: name it")
	}
	if f.digest != "" {
		if kept, err = changeset.ParseDigest(f.digest); err != nil {
			return nil, kept, usagef("--digest: %w", err)
		}
	}
	for _, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return nil, kept, err
		}
		ids = append(ids, id)
	}
	return ids, kept, nil
}

func verifyEach(ctx context.Context, in *inspect.Inspector, ids []string, kept changeset.Digest) iter.Seq2[inspect.Report, error] {
	return func(yield func(inspect.Report, error) bool) {
		for _, id := range ids {
			r, err := in.VerifyDigest(ctx, id, kept)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// verifying is one run of verify. Its lines wait for the end, so that the
// progress bar has the terminal for itself; --json has no bar, and no wait.
type verifying struct {
	*app
	bar      *progress
	total    verifiedJSON
	hurt     int64 // aggregates with a fault
	problems []inspect.Problem
	ahead    []string
}

func (v *verifying) run(reports iter.Seq2[inspect.Report, error]) error {
	v.total.kind = kindOf("verified")
	for r, err := range reports {
		if err == nil {
			err = v.take(r)
		}
		if err != nil { // what was found before is worth knowing
			v.bar.end()
			if shown := v.printProblems(); shown != nil {
				return shown
			}
			return err
		}
	}
	v.bar.end()
	if err := v.printProblems(); err != nil {
		return err
	}
	for _, id := range v.ahead {
		v.warn("%s has changesets that were built on a revision which its head has not reached: ropewalk graph %s", id, quote(idArgument(id)))
	}
	if err := v.printTotal(); err != nil || v.total.Corrupt == 0 {
		return err
	}
	return &problem{class: &found, err: fmt.Errorf("verify found %s in %s", counted(v.total.Corrupt, "fault"), counted(v.hurt, "aggregate"))}
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
	t.Untold += int64(r.Untold)
	if r.Ahead > 0 {
		v.ahead = append(v.ahead, r.AggregateID)
	}
	if !r.Kept.ID.IsZero() {
		t.Digest = newPointJSON(head.Head{Ref: r.Kept})
	}
	if len(r.Problems) > 0 {
		v.hurt++
	}
	if !v.json {
		v.problems = append(v.problems, r.Problems...)
		return nil
	}
	for _, p := range r.Problems {
		if err := v.emit(newProblemJSON(p)); err != nil {
			return err
		}
	}
	return nil
}

func newProblemJSON(p inspect.Problem) problemJSON {
	out := problemJSON{kind: kindOf("problem"), Aggregate: p.Ref.AggregateID, Object: p.Object, Reason: p.Reason}
	if !p.Ref.ID.IsZero() {
		out.Ref = p.Ref.String()
	}
	if !p.Missing.ID.IsZero() {
		out.Missing = p.Missing.String()
	}
	return out
}

// printProblems prints a line for each fault: which changeset, what is wrong,
// and where it is stored.
func (v *verifying) printProblems() error {
	var widths [2]int
	lines := make([][3]string, 0, len(v.problems))
	for _, p := range v.problems {
		line := [3]string{p.Ref.AggregateID, p.Reason, p.Object}
		if p.Ref.ID.IsZero() {
			line[1] = "head: " + p.Reason
		} else {
			line[0] += "@" + strconv.FormatUint(p.Ref.Version, 10)
		}
		if !p.Missing.ID.IsZero() {
			line[1] += ": " + v.shortID(p.Missing.ID)
		}
		for i := range widths {
			widths[i] = max(widths[i], lipgloss.Width(line[i]))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		text := padded(line[0], widths[0]+2) + padded(line[1], widths[1]+2) + line[2]
		if err := v.print("%s\n", strings.TrimRight(text, " ")); err != nil {
			return err
		}
	}
	return nil
}

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

func (v *verifying) printTotal() error {
	t := v.total
	if v.json {
		return v.emit(t)
	}
	if t.Digest != nil {
		if err := v.print("the digest is that of %s\n", t.Digest.Ref); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("verified %s, %s, %s: %s corrupt, %s, %s pending",
		counted(t.Aggregates, "aggregate"), counted(t.Changesets, "changeset"), spacedSize(t.Bytes),
		thousands(t.Corrupt), counted(t.Orphans, "orphan"), thousands(t.Pending))
	if t.Ahead > 0 {
		summary += ", " + thousands(t.Ahead) + " ahead"
	}
	if t.Untold > 0 {
		summary += ", " + thousands(t.Untold) + " in doubt"
	}
	return v.print("%s\n", summary)
}

// counted returns a number of things: 1 orphan, 12,408 orphans.
func counted(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spacedSize returns a size as it stands within a sentence: 4.1 GB.
func spacedSize(n int64) string {
	s := byteSize(n)
	unit := strings.TrimLeft(s, "0123456789.")
	return strings.TrimSuffix(s, unit) + " " + unit
}
