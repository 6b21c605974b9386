package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

func newShow(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show REF|RANGE",
		Short: "Show changesets with their contents, for people",
		Long: `Show one changeset, in the chain or not, or each changeset of a range, the oldest
first, and prove it: its content against the SHA-256, its fields against the digest,
which includes its parent's digest. Each event of NDJSON is printed with its type,
time, ID and metadata, and its data indented: up to about a megabyte of a
changeset, with hidden characters escaped. Content that is not text is not
printed. Use ropewalk cat for the bytes.`,
		Example: `  ropewalk show order-4711
  ropewalk show order-4711@1
  ropewalk show order-4711@2..5
  ropewalk show 'order-4711@{2026-01-31}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runShow(cmd, std, stores, args[0]) },
	}
}

func runShow(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return withStore(ctx, stores, func(s *store) error {
		if r.IsRange() {
			return showRange(ctx, std, s, r)
		}
		l, err := s.locate(ctx, r)
		if err != nil {
			return err
		}
		c, err := s.proved(ctx, l)
		if err != nil {
			return err
		}
		return showOne(ctx, std, s, l, c)
	})
}

// showRange shows each changeset of a range, proved by the changeset before it.
func showRange(ctx context.Context, std *ui.Streams, s *store, r reference.Reference) error {
	sp, err := s.span(ctx, r)
	if err != nil {
		return err
	}
	var parent changeset.Header
	if sp.first > 0 {
		if parent, err = headerAt(ctx, sp.reader, sp.first-1); err != nil {
			return err
		}
	}
	for c, err := range sp.contents(ctx, false) {
		if err != nil {
			return err
		}
		if err := s.proveAfter(parent, c); err != nil {
			return err
		}
		if c.Version > sp.first && !std.JSON {
			if err := std.Print("\n"); err != nil {
				return err
			}
		}
		if err := showOne(ctx, std, s, located{c.Ref, sp.reader.Head(), sp.reader, changeset.Header{}}, c); err != nil {
			return err
		}
		parent = c.Header
	}
	return nil
}

func showOne(ctx context.Context, std *ui.Streams, s *store, l located, c changeset.Changeset) error {
	at, err := s.placeOf(ctx, l, c.Header)
	if err != nil {
		return err
	}
	if std.JSON {
		out := newChangesetJSON(c.Header)
		out.State, out.storedJSON, out.contentJSON = l.state(c.Header), at, newContentJSON(c.Content)
		return std.Emit(out)
	}
	return printShow(std, at, l, c)
}

func printShow(std *ui.Streams, at *storedJSON, l located, c changeset.Changeset) error {
	field := func(name string, value any) string { return string(ui.Safef("%-12s  %s\n", name, value)) }
	ok := std.Paint(std.Out, ui.Green, "ok")
	var b strings.Builder
	b.WriteString(field("changeset", c.Ref.String()))
	if state := l.state(c.Header); state != "committed" {
		b.WriteString(field("state", std.Paint(std.Out, ui.Yellow, explainState(state, l, c.Header))))
	}
	if c.Version > 0 {
		b.WriteString(field("parent", changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}.String()))
	}
	b.WriteString(field("recorded", ui.Precisely(c.RecordedAt)))
	size := fmt.Sprintf("%d bytes", c.BodySize)
	if c.Encoding != "" {
		size += " of " + c.Encoding
	}
	b.WriteString(field("content", ui.Safef("%s, %s, sha256 %s %s", c.ContentType, size, std.ShortDigest(c.BodySHA256.String()), ok)))
	b.WriteString(field("digest", ui.Safef("%s %s", std.ShortDigest(c.Digest.String()), ok)))
	if c.Part != (changeset.Part{}) {
		b.WriteString(field("append", c.Part.String()))
	}
	if c.CommandID != "" {
		b.WriteString(field("command", ui.QuoteText(c.CommandID)))
	}
	if commit := c.Commit(); !commit.IsZero() {
		b.WriteString(field("commit", commitWords(commit)))
	}
	if own := ownMetadata(c.Header); len(own) > 0 {
		b.WriteString(field("metadata", ui.FormatMetadata(own)))
	}
	b.WriteString(field(at.words()))
	if ndjson.HasEvents(c) {
		if err := std.Print("%s", ui.Safe(b.String())); err != nil {
			return err
		}
		return showEvents(std, c)
	}
	b.WriteString("\n" + showContent(c.Content))
	return std.Print("%s", ui.Safe(b.String()))
}

// explainState returns the fate of a changeset that is not in its chain.
func explainState(state string, l located, h changeset.Header) string {
	switch state {
	case "lost":
		return fmt.Sprintf("not in the chain: lost, built on revision %d, the head is at %d", l.builtOn(h), l.head.Revision)
	case "pending":
		return fmt.Sprintf("not in the chain: pending, built on the head's present revision, %d", l.builtOn(h))
	default:
		return fmt.Sprintf("not in the chain: built on revision %d, which the head, at %d, has not reached", l.builtOn(h), l.head.Revision)
	}
}

// showContent returns content as a terminal may show it, with a newline at the end.
// CR LF is the end of a line. A CR alone, which would go back over the line, is
// escaped like other hidden characters.
func showContent(content []byte) string {
	switch {
	case len(content) == 0:
		return ""
	case !isText(content):
		return fmt.Sprintf("(%d bytes that are not text: ropewalk cat gives them)\n", len(content))
	default:
		return visible.Lines(strings.TrimSuffix(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")) + "\n"
	}
}

// isText reports whether content is UTF-8 without control characters, except those
// between words and lines.
func isText(content []byte) bool {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
	return utf8.Valid(content) && !bytes.ContainsFunc(content, control)
}
