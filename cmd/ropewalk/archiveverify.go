package main

import (
	"context"
	"fmt"
	"iter"

	"ropewalk/archive"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// archiveFindingJSON is a place where an archive and the chains do not agree, from
// verify --archive with --json.
type archiveFindingJSON struct {
	ui.Kind
	Ref     string `json:"ref,omitempty"`
	File    string `json:"file,omitempty"`
	Problem string `json:"problem"`
}

// archiveVerifiedJSON is the summary of verify --archive with --json.
type archiveVerifiedJSON struct {
	ui.Kind
	Archive    string `json:"archive"`
	Aggregates int64  `json:"aggregates"`
	Changesets int64  `json:"changesets"`
	Rows       int64  `json:"rows"`
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	Unproved   int64  `json:"unproved"`
	Orphans    int64  `json:"orphans"`
	Wrong      int64  `json:"wrong"`
}

func verifyArchive(ctx context.Context, std *ui.Streams, stores *storeFlags, dst string) error {
	return withStore(ctx, stores, func(s *store) error {
		d, err := openArchive(ctx, std, s.log, dst)
		if err != nil {
			return err
		}
		bar := std.NewProgress(-1, false, "changesets")
		a := archive.Open(d, &archive.Options{Logger: s.log, Progress: func(done int) { bar.Add(int64(done)) }})
		total := archiveVerifiedJSON{Kind: ui.KindOf("archive-verified"), Archive: dst}
		findings, err := total.takeAll(a.Verify(ctx, s.Store))
		bar.End()
		if printed := printArchiveFindings(std, findings); printed != nil {
			return printed
		}
		if err != nil {
			return explainArchive(err)
		}
		return total.end(std)
	})
}

// takeAll adds all proofs to the summary. Their findings wait for the end, so that
// only the progress bar writes to the terminal until then.
func (t *archiveVerifiedJSON) takeAll(proofs iter.Seq2[archive.Proof, error]) (findings []archive.Finding, err error) {
	for p, err := range proofs {
		if err != nil {
			return findings, err
		}
		t.Aggregates += p.Aggregates
		t.Changesets += p.Changesets
		t.Rows += p.Rows
		t.Files += p.Files
		t.Bytes += p.Bytes
		t.Unproved += p.Unproved
		t.Orphans += p.Orphans
		t.Wrong += int64(len(p.Findings))
		findings = append(findings, p.Findings...)
	}
	return findings, nil
}

func printArchiveFindings(std *ui.Streams, findings []archive.Finding) (err error) {
	for _, f := range findings {
		if !std.JSON {
			err = std.Print("%s\n", f.String())
		} else {
			ref := ""
			if f.Ref.AggregateID != "" {
				ref = f.Ref.String()
			}
			err = std.Emit(archiveFindingJSON{ui.KindOf("archive-finding"), ref, f.File, f.Problem})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end prints the summary, and returns the error of an archive that is wrong.
func (t *archiveVerifiedJSON) end(std *ui.Streams) error {
	if err := t.print(std); err != nil {
		return err
	}
	if t.Unproved > 0 {
		std.Warn("%s of erased aggregates, which nothing can prove: ropewalk archive %s, and then ropewalk archive erase %[2]s",
			ui.Plural(t.Unproved, "row"), ui.Operand(t.Archive))
	}
	if t.Wrong == 0 {
		return nil
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Found, fmt.Errorf("verify found %s in the archive", ui.Plural(t.Wrong, "fault"))),
		"find out whether the chains are sound: ropewalk verify --all")
}

func (t *archiveVerifiedJSON) print(std *ui.Streams) error {
	if std.JSON {
		return std.Emit(t)
	}
	return std.Print("verified %s, %s, %s in %s, %s: %s wrong, %s\n",
		ui.Plural(t.Aggregates, "aggregate"), ui.Plural(t.Changesets, "changeset"), ui.Plural(t.Rows, "row"), ui.Plural(t.Files, "file"),
		ui.SpacedSize(t.Bytes), ui.Thousands(t.Wrong), ui.Plural(t.Orphans, "orphan"))
}
