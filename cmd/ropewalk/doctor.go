package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/finding"
)

func newDoctor(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var slow time.Duration
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine a store, and say what to do about each finding",
		Long: `Examine the store as it is used from this machine, and print a page of findings,
with a hint for each that needs something done:

  setup          what ropewalk init --check reports
  clock          the difference to the clock of the service, and heads from the future
  reading        that heads and objects can be read, and how long a request takes
  writing        that heads can be swapped and objects put
  wal            the size of the log beside a SQLite file
  feed           the age of the oldest change that the feed lacks
  subscription   the lag of each, and the changes that it has parked

Nothing is changed: permission to write is tried by a swap that must be refused, since
it expects a head that no aggregate has, and by putting again an object that exists.

If anything needs something done, the exit code is 7.`,
		Example:           `  ropewalk doctor --store 'aws://acme-orders/?table=acme-heads&region=eu-west-1'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := stores.location()
			if err != nil {
				return err
			}
			return examine(cmd.Context(), std, stores, p, slow)
		},
	}
	cmd.Flags().DurationVar(&slow, "slow", 500*time.Millisecond, "a request that takes longer is a finding")
	return cmd
}

// examine prints what was found, in the order of the examination.
func examine(ctx context.Context, std *ui.Streams, stores *storeFlags, p location.Location, slow time.Duration) error {
	findings, err := p.Check(ctx)
	if err != nil {
		return err
	}
	findings = append(findings, clock(ctx, p)...)
	if file, ok := p.(location.SQLiteFile); ok {
		findings = append(findings, walSize(string(file)))
	}
	err = withStore(ctx, stores, func(s *store) error {
		p := &probing{store: s, slow: slow}
		for _, probe := range []func(context.Context) ([]finding.Finding, error){p.reading, p.writing, p.feeding, p.subscribing} {
			found, err := probe(ctx)
			if err != nil {
				return err
			}
			findings = append(findings, found...)
		}
		return nil
	})
	if setup, ok := errors.AsType[*finding.SetupError](err); ok && ctx.Err() == nil {
		findings, err = append(findings, finding.Finding{Name: "store", Detail: setup.Error(), Hint: setup.Hint}), nil
	}
	if err != nil {
		return err
	}
	return printExamination(std, stores.url(), findings)
}

func printExamination(std *ui.Streams, url string, findings []finding.Finding) error {
	if std.JSON {
		if err := emitFindings(std, findings); err != nil {
			return err
		}
	} else if err := std.Print("%s", examinationText(std, findings)); err != nil {
		return err
	}
	bad := len(slices.DeleteFunc(findings, func(f finding.Finding) bool { return f.OK }))
	if bad == 0 {
		return nil
	}
	return cliexit.Wrap(cliexit.CheckFailed, fmt.Errorf("%s of %s to act on", ui.Plural(int64(bad), "finding"), url))
}

func examinationText(std *ui.Streams, findings []finding.Finding) ui.Safe {
	var b strings.Builder
	for _, f := range findings {
		mark, text := "ok  ", ui.Safef("%s", f.String())
		if !f.OK {
			mark, text = "!!  ", std.Paint(std.Out, ui.Red, f.String())
		}
		b.WriteString(mark + string(text) + "\n")
		if !f.OK && f.Hint != "" {
			b.WriteString("    " + string(ui.Safef("%s", f.Hint)) + "\n")
		}
	}
	return ui.Safe(b.String())
}
