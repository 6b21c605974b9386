package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/finding"
	"ropewalk/internal/storeurl"
)

// initJSON is the result of init with --json.
type initJSON struct {
	ui.Kind
	Store string `json:"store"`
}

// findingJSON is one result of init --check with --json.
type findingJSON struct {
	ui.Kind
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// policyJSON is the result of init --print-policy with --json.
type policyJSON struct {
	ui.Kind
	Role   string `json:"role"`
	Policy string `json:"policy"`
}

// roles are the values of --print-policy.
var roles = []string{"writer", "reader", "maintainer", "relay", "subscriber"}

func newInit(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var check bool
	var role string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a store, or check one",
		Long: `Create the file of a store, or its bucket, table and containers, if they are
missing. Existing ones are left as they are.

Whether chains are packed is not stored with the store: each writer begins packed
chains if its URL has format=packed. The heads of such chains have contents, so with
that parameter init also turns on point-in-time recovery of the table, and the
versioning of a bucket that holds heads.

With --check nothing is changed: init reports what exists, and what is missing or
dangerous. If anything is, the exit code is 7.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := stores.location()
			switch {
			case err != nil:
				return err
			case cmd.Flags().Changed("print-policy") && check:
				return cliexit.Usagef("--check and --print-policy do not go together")
			case cmd.Flags().Changed("print-policy"):
				return printPolicy(std, p, role)
			case check:
				return checkStore(cmd.Context(), std, stores, p)
			}
			return provisionStore(cmd.Context(), std, stores, p)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing: report what exists, and what is missing or dangerous")
	cmd.Flags().StringVar(&role, "print-policy", "", "print the access policy for a `ROLE`: writer, reader, maintainer, relay or subscriber")
	completeFlag(cmd, "print-policy", roles, cobra.ShellCompDirectiveDefault)
	return cmd
}

func provisionStore(ctx context.Context, std *ui.Streams, stores *storeFlags, p location.Location) error {
	if err := p.Provision(ctx); err != nil {
		return err
	}
	if std.JSON {
		return std.Emit(initJSON{ui.KindOf("init"), redact.URL(stores.url())})
	}
	if err := std.Print("%s is ready\n", redact.URL(stores.url())); err != nil {
		return err
	}
	if _, layout, err := storeurl.CutLayout(stores.url()); err != nil || !layout.Packed {
		return err
	}
	return std.Print("give this URL to every writer: the store itself does not say that its chains are packed\n")
}

// checkStore prints what is in order on one line, and each fault on a line.
func checkStore(ctx context.Context, std *ui.Streams, stores *storeFlags, p location.Location) error {
	findings, err := p.Check(ctx)
	if err != nil {
		return err
	}
	var good, bad []finding.Finding
	for _, f := range findings {
		if f.OK {
			good = append(good, f)
		} else {
			bad = append(bad, f)
		}
	}
	if std.JSON {
		err = emitFindings(std, findings)
	} else {
		err = printFindings(std, good, bad)
	}
	if err != nil || len(bad) == 0 {
		return err
	}
	return cliexit.Wrap(cliexit.CheckFailed, fmt.Errorf("the check of %s failed in %d of %d points", stores.url(), len(bad), len(findings)))
}

func emitFindings(std *ui.Streams, findings []finding.Finding) error {
	for _, f := range findings {
		if err := std.Emit(findingJSON{ui.KindOf("finding"), f.Name, f.OK, f.Detail, f.Hint}); err != nil {
			return err
		}
	}
	return nil
}

func printFindings(std *ui.Streams, good, bad []finding.Finding) error {
	var b strings.Builder
	for i, f := range good {
		if i > 0 {
			b.WriteString("   ")
		}
		b.WriteString(string(ui.Safef("%s", f)))
	}
	if len(good) > 0 {
		b.WriteString("\n")
	}
	for _, f := range bad {
		b.WriteString(string(std.Paint(std.Out, ui.Red, f.String())))
		if f.Hint != "" {
			b.WriteString(string(ui.Safef("; %s", f.Hint)))
		}
		b.WriteString("\n")
	}
	return std.Print("%s", ui.Safe(b.String()))
}

func printPolicy(std *ui.Streams, p location.Location, role string) error {
	if !slices.Contains(roles, role) {
		return cliexit.Usagef("--print-policy %s: want writer, reader, maintainer, relay or subscriber", ui.Quote(role))
	}
	text, err := p.Policy(role)
	if err != nil {
		return err
	}
	if std.JSON {
		return std.Emit(policyJSON{ui.KindOf("policy"), role, text})
	}
	return std.Print("%s\n", ui.Safe(strings.TrimSuffix(text, "\n")))
}
