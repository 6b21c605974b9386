package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/internal/body"
)

func newShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show REF",
		Short: "Show one changeset with its content, for people",
		Long: `Show one changeset, in the chain or not, and prove it: its content against the
SHA-256, its fields against the digest, which takes its parent's digest. Events,
one a line, are printed each with its type, time, ID and metadata, and its data
indented: about a megabyte of them, and characters that a terminal does not
show escaped. Content that is not text is not printed. Use ropewalk cat for the
bytes.`,
		Example: `  ropewalk show order-4711
  ropewalk show order-4711@1
  ropewalk show order-4711@{2026-01-31}`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runShow(cmd, args[0]) },
	}
}

func (a *app) runShow(cmd *cobra.Command, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return a.reading(ctx, func(s *store) error {
		l, err := s.locate(ctx, r)
		if err != nil {
			return err
		}
		c, err := s.proved(ctx, l)
		if err != nil {
			return err
		}
		if a.JSON {
			out := newChangesetJSON(c.Header)
			out.State, out.Object, out.contentJSON = l.state(c.Header), s.objects.Locate(c.Ref), newContentJSON(c.Content)
			return a.Emit(out)
		}
		return a.printShow(s, l, c)
	})
}

// get reads a changeset in the chain or not, and checks its body.
func (s *store) get(ctx context.Context, l located) (changeset.Changeset, error) {
	if l.reader != nil {
		return l.reader.At(ctx, l.ref.Version)
	}
	c, err := s.objects.Get(ctx, l.ref, nil)
	if err == nil {
		err = c.VerifyBody()
	}
	if err == nil {
		c.Content, err = body.Decode(c, s.Options().MaxContentSize)
	}
	return c, s.named(err)
}

// proved reads a changeset and checks all of it: its content, its link to its
// parent, and its digest.
func (s *store) proved(ctx context.Context, l located) (changeset.Changeset, error) {
	c, err := s.get(ctx, l)
	if err != nil {
		return c, err
	}
	if c.Version == 0 {
		return c, s.named(c.Verify(changeset.Digest{}))
	}
	parent := changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}
	info, err := s.objects.Stat(ctx, parent)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = s.named(&ropewalk.CorruptError{Ref: c.Ref, Reason: "its parent is missing: " + parent.String()})
	}
	if err != nil {
		return c, err
	}
	if err := c.VerifyLink(info.Header); err != nil {
		return c, s.named(err)
	}
	return c, s.named(c.Verify(info.Digest))
}

// named adds the object's name to an error that says it is corrupt.
func (s *store) named(err error) error {
	var bad *ropewalk.CorruptError
	if errors.As(err, &bad) && bad.Object == "" {
		bad.Object = s.objects.Locate(bad.Ref)
	}
	return err
}

func (a *app) printShow(s *store, l located, c changeset.Changeset) error {
	field := func(name string, value any) string { return string(ui.Safef("%-12s  %s\n", name, value)) }
	ok := a.Paint(a.Out, ui.Green, "ok")
	var b strings.Builder
	b.WriteString(field("changeset", c.Ref.String()))
	if state := l.state(c.Header); state != "committed" {
		b.WriteString(field("state", a.Paint(a.Out, ui.Yellow, explainState(state, l, c.Header))))
	}
	if c.Version > 0 {
		b.WriteString(field("parent", changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}.String()))
	}
	b.WriteString(field("recorded", ui.Precisely(c.RecordedAt)))
	size := fmt.Sprintf("%d bytes", c.BodySize)
	if c.Encoding != "" {
		size += " of " + c.Encoding
	}
	b.WriteString(field("content", ui.Safef("%s, %s, sha256 %s %s", c.ContentType, size, a.ShortDigest(c.BodySHA256.String()), ok)))
	b.WriteString(field("digest", ui.Safef("%s %s", a.ShortDigest(c.Digest.String()), ok)))
	if c.Part != (changeset.Part{}) {
		b.WriteString(field("append", c.Part.String()))
	}
	if c.CommandID != "" {
		b.WriteString(field("command", ui.QuoteText(c.CommandID)))
	}
	if len(c.Metadata) > 0 {
		b.WriteString(field("metadata", ui.FormatMetadata(c.Metadata)))
	}
	b.WriteString(field("object", s.objects.Locate(c.Ref)))
	if hasEvents(c) {
		if err := a.Print("%s", ui.Safe(b.String())); err != nil {
			return err
		}
		return a.showEvents(c)
	}
	b.WriteString("\n" + showContent(c.Content))
	return a.Print("%s", ui.Safe(b.String()))
}

// explainState says what became of a changeset that its chain does not have.
func explainState(state string, l located, h changeset.Header) string {
	switch state {
	case "lost":
		return fmt.Sprintf("not in the chain: lost, built on revision %d, the head is at %d", h.AfterRevision, l.head.Revision)
	case "pending":
		return fmt.Sprintf("not in the chain: pending, built on the head's present revision, %d", h.AfterRevision)
	default:
		return fmt.Sprintf("not in the chain: built on revision %d, which the head, at %d, has not reached", h.AfterRevision, l.head.Revision)
	}
}

// showContent returns content as a terminal may show it, ending in a new line.
// CR LF is shown as the end of a line; a CR alone, which would go back over the
// line, is escaped as all that is hidden.
func showContent(content []byte) string {
	text := string(content)
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
	switch {
	case text == "":
		return ""
	case !utf8.Valid(content) || strings.ContainsFunc(text, control):
		return fmt.Sprintf("(%d bytes that are not text: ropewalk cat gives them)\n", len(content))
	default:
		return visible.Lines(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")) + "\n"
	}
}
