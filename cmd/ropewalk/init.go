package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/finding"
)

// initJSON is what init prints with --json.
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

// policyJSON is what init --print-policy prints with --json.
type policyJSON struct {
	ui.Kind
	Role   string `json:"role"`
	Policy string `json:"policy"`
}

// roles are the values of --print-policy.
var roles = []string{"writer", "reader", "maintainer"}

func newInit(a *app) *cobra.Command {
	var check bool
	var role string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a store, or check one",
		Long: `Create what the store needs where it is missing: the file, or the bucket, table
and containers. What is there is left as it is.

With --check nothing is changed: it says what is there, and what is missing or
dangerous; then the exit code is 7.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.place(a.storeURL(), a.Env)
			switch {
			case err != nil:
				return err
			case cmd.Flags().Changed("print-policy") && check:
				return cliexit.Usagef("--check and --print-policy do not go together")
			case cmd.Flags().Changed("print-policy"):
				return a.printPolicy(p, role)
			case check:
				return a.check(cmd.Context(), p)
			}
			return a.provision(cmd.Context(), p)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing: say what is there, missing or dangerous")
	cmd.Flags().StringVar(&role, "print-policy", "", "print the access policy for a `ROLE`: writer, reader or maintainer")
	completeFlag(cmd, "print-policy", roles, cobra.ShellCompDirectiveDefault)
	return cmd
}

func (a *app) provision(ctx context.Context, p place) error {
	if err := p.provision(ctx); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(initJSON{ui.KindOf("init"), redact.URL(a.storeURL())})
	}
	return a.Print("%s is ready\n", redact.URL(a.storeURL()))
}

// check prints what is well on one line, and what is not on one each.
func (a *app) check(ctx context.Context, p place) error {
	findings, err := p.check(ctx)
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
	if a.JSON {
		err = a.emitFindings(findings)
	} else {
		err = a.printFindings(good, bad)
	}
	if err != nil || len(bad) == 0 {
		return err
	}
	return cliexit.Wrap(cliexit.CheckFailed, fmt.Errorf("the check of %s failed in %d of %d points", a.storeURL(), len(bad), len(findings)))
}

func (a *app) emitFindings(findings []finding.Finding) error {
	for _, f := range findings {
		if err := a.Emit(findingJSON{ui.KindOf("finding"), f.Name, f.OK, f.Detail, f.Hint}); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printFindings(good, bad []finding.Finding) error {
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
		b.WriteString(string(a.Paint(a.Out, ui.Red, f.String())))
		if f.Hint != "" {
			b.WriteString(string(ui.Safef("; %s", f.Hint)))
		}
		b.WriteString("\n")
	}
	return a.Print("%s", ui.Safe(b.String()))
}

func (a *app) printPolicy(p place, role string) error {
	if !slices.Contains(roles, role) {
		return cliexit.Usagef("--print-policy %s: want writer, reader or maintainer", ui.Quote(role))
	}
	text, err := p.policy(role)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(policyJSON{ui.KindOf("policy"), role, text})
	}
	return a.Print("%s\n", ui.Safe(strings.TrimSuffix(text, "\n")))
}
