package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/link"
)

// Changeset shows what show prints, and the index.
func (u *uiSource) Changeset(ctx context.Context, ref string) (inspector.Changeset, error) {
	var out inspector.Changeset
	r, err := reference.Parse(ref)
	if err != nil {
		return out, err
	}
	l, err := u.store.locate(ctx, r)
	if err != nil {
		return out, err
	}
	c, err := u.store.proved(ctx, l)
	if err != nil {
		return out, err
	}
	at, err := u.store.placeOf(ctx, l, c.Header)
	if err != nil {
		return out, err
	}
	out = newUIChangeset(l, c, at)
	out.Index, out.Jumps, err = u.store.jumps(ctx, l, c.Header)
	return out, err
}

func newUIChangeset(l located, c changeset.Changeset, at *storedJSON) inspector.Changeset {
	out := inspector.Changeset{
		Aggregate: inspector.Text(c.AggregateID), Ref: inspector.Text(c.Ref.String()), Version: c.Version,
		Fields: uiFields(c, at), Checks: uiChecks(c.Header), Content: uiContent(c),
	}
	for _, k := range slices.Sorted(maps.Keys(ownMetadata(c.Header))) {
		out.Metadata = append(out.Metadata, inspector.Field{Name: ui.Escape(k, ui.MaxCell), Value: inspector.Text(c.Metadata[k])})
	}
	if state := l.state(c.Header); state != "committed" {
		out.Fate = inspector.Text(explainState(state, l, c.Header))
	} else if c.Version < l.head.Version {
		out.Later = fmt.Sprintf("%s@%d", c.AggregateID, c.Version+1)
	}
	if c.Version > 0 {
		out.Earlier = parentRef(c.Header).String()
	}
	return out
}

// parentRef returns the reference of the changeset that another one was built on.
func parentRef(h changeset.Header) changeset.Ref {
	return changeset.Ref{AggregateID: h.AggregateID, Version: h.Version - 1, ID: h.Parent}
}

func uiFields(c changeset.Changeset, at *storedJSON) []inspector.Field {
	field := func(name, value string) inspector.Field {
		return inspector.Field{Name: name, Value: inspector.Text(value)}
	}
	all := []inspector.Field{field("changeset", c.Ref.String())}
	if c.Version > 0 {
		all = append(all, inspector.RefField("parent", parentRef(c.Header).String()))
	}
	size := ui.Plural(c.BodySize, "byte")
	if c.Encoding != "" {
		size += " of " + c.Encoding
	}
	all = append(all, field("recorded", ui.Precisely(c.RecordedAt)), field("content", c.ContentType+", "+size),
		field("built on", "revision "+strconv.FormatUint(c.AfterRevision, 10)+" of the head"))
	if c.Part != (changeset.Part{}) {
		all = append(all, field("append", c.Part.String()))
	}
	if commit := c.Commit(); !commit.IsZero() {
		all = append(all, field("commit", commitWords(commit)))
	}
	if c.CommandID != "" {
		all = append(all, field("command", ui.QuoteText(c.CommandID)))
	}
	name, value := at.words()
	return append(all, field(name, fmt.Sprint(value)))
}

// uiChecks says what a proved changeset has passed.
func uiChecks(h changeset.Header) []inspector.Check {
	checks := []inspector.Check{{Name: "content", Digest: inspector.Text(h.BodySHA256.String()), Proves: "the stored content has this SHA-256"}}
	proves := "the header and the content are what the digest commits to"
	if h.Version > 0 {
		proves = "the header, the content, and the digest of the parent are what the digest commits to"
	}
	return append(checks, inspector.Check{Name: "digest", Digest: inspector.Text(h.Digest.String()), Proves: proves})
}

// jumps returns what the index of a changeset leads to, the nearest first: versions, or
// in a packed chain the objects before.
func (s *store) jumps(ctx context.Context, l located, h changeset.Header) (kind string, all []inspector.Jump, err error) {
	if h.Format() == changeset.Format {
		for version, id := range h.Ancestors.All() {
			ref := changeset.Ref{AggregateID: h.AggregateID, Version: version, ID: id}
			all = append(all, newJump(h, version, ref.String(), ref.String()))
		}
		return "one step leads from here to each of these versions", nearestFirst(all), nil
	}
	index, err := s.objectIndex(ctx, l, h)
	for _, e := range index.All() {
		all = append(all, newJump(h, e.Version, fmt.Sprintf("%s@%d", h.AggregateID, e.Version), e.Ref(h.AggregateID).String()))
	}
	return "one step leads from here to the object that ends with each of these versions", nearestFirst(all), err
}

func newJump(h changeset.Header, version uint64, ref, title string) inspector.Jump {
	return inspector.Jump{Version: version, Back: h.Version - version, Ref: inspector.Text(ref), Title: inspector.Text(title)}
}

func nearestFirst(all []inspector.Jump) []inspector.Jump {
	slices.SortFunc(all, func(a, b inspector.Jump) int { return int(a.Back) - int(b.Back) })
	return all
}

// objectIndex returns the index of the object, or of the head, that has a changeset of a
// packed chain.
func (s *store) objectIndex(ctx context.Context, l located, h changeset.Header) (changeset.ObjectIndex, error) {
	if l.reader == nil {
		return l.pack.Pack.Index, nil
	}
	place, err := link.Locate(ctx, s.objects, l.head, h.Version)
	if err != nil || place.Object == (changeset.Ref{}) {
		return l.head.Index, s.named(err)
	}
	object, err := s.objects.Stat(ctx, place.Object)
	if err != nil || object.Pack == nil {
		return changeset.ObjectIndex{}, err
	}
	return object.Pack.Index, nil
}
