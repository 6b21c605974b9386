package main

import (
	"context"
	"fmt"
	"html/template"
	"slices"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/figure"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/inspect"
)

// Chain draws a chain as graph does. As of a version or a time, it is the chain that
// ends there, with what was built beside it by then.
func (u *uiSource) Chain(ctx context.Context, id, at string, limit uint64) (inspector.Chain, error) {
	out := inspector.Chain{ID: inspector.Text(id)}
	if err := changeset.ValidateAggregateID(id); err != nil {
		return out, err
	}
	then, newer, err := u.moment(ctx, id, at)
	if err != nil {
		return out, err
	}
	if limit > 0 {
		limit += newer
	}
	g, err := inspect.New(u.store.objects, u.store.heads, nil).Graph(ctx, id, limit)
	if err != nil {
		return out, err
	}
	if g.Head.State == head.Erased {
		return out, fmt.Errorf("chain %q: %w", id, ropewalk.ErrErased)
	}
	if then != nil {
		out.AsOf = then.words()
		g = then.cut(g)
	}
	return u.drawn(out, g), nil
}

// moment is what a chain is shown as of: a version, and the time if it was asked for by
// a time.
type moment struct {
	reference.Reference
	version uint64
}

// moment resolves what a person asks for, and returns how many versions are newer; nil
// for now.
func (u *uiSource) moment(ctx context.Context, id, at string) (then *moment, newer uint64, err error) {
	if at == "" {
		return nil, 0, nil
	}
	r, err := reference.Parse("x@" + at)
	if err != nil || r.Form != reference.Single {
		if r, err = reference.Parse("x@{" + at + "}"); err == nil && r.Form != reference.AsOf {
			err = cliexit.Usagef("%q is neither a version nor a time like 2026-01-31 or 2026-01-31T09:30:00Z", at)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	r.ID = id
	sp, err := u.store.span(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	newest := sp.reader.Head().Version
	if sp.last > newest {
		return nil, 0, fmt.Errorf("version %d of %q, which is at %d: %w", sp.last, id, newest, ropewalk.ErrNotFound)
	}
	return &moment{r, sp.last}, newest - sp.last, nil
}

func (m *moment) words() string {
	if m.Form == reference.AsOf {
		return changeset.FormatTime(m.At)
	}
	return fmt.Sprintf("version %d", m.version)
}

// cut leaves out of a graph what came later.
func (m *moment) cut(g inspect.Graph) inspect.Graph {
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n inspect.Node) bool {
		return n.Version > m.version || m.Form == reference.AsOf && n.RecordedAt.After(m.At)
	})
	g.Head.Ref = changeset.Ref{}
	for _, n := range g.Nodes {
		if n.Version == m.version && n.Kind == inspect.Committed {
			g.Head.Ref = n.Ref
		}
	}
	return g
}

// drawn returns a chain with its drawing.
func (u *uiSource) drawn(out inspector.Chain, g inspect.Graph) inspector.Chain {
	rows, lanes := figure.Lanes(g)
	out.Lanes = template.HTML(lanes) // which holds no text of the store
	out.Packed = g.Head.IsPacked()
	if g.Head.Exists() {
		out.Head, out.Version = inspector.Text(g.Head.Ref.String()), g.Head.Version
	}
	if g.HeadFault != nil {
		out.Fault = inspector.Text(g.HeadFault.Reason)
	}
	for _, r := range rows {
		out.Rows = append(out.Rows, newUIRow(r, g))
	}
	return out
}

func newUIRow(r figure.Row, g inspect.Graph) inspector.Row {
	out := inspector.Row{Row: r}
	if r.Node == nil {
		return out
	}
	n := *r.Node
	out.Ref, out.Head = inspector.Text(n.Ref.String()), n.Ref == g.Head.Ref
	if !figure.HeaderKnown(n) {
		return out
	}
	out.Recorded, out.Size = ui.Seconds(n.RecordedAt), ui.ByteSize(n.BodySize)
	out.Metadata = inspector.Text(metadataCell(n.Metadata, n.Commit(), whole))
	if n.Kind == inspect.Pending && n.Part.Last() && !g.Head.IsZero() {
		out.Settle = inspector.Text("ropewalk settle " + ui.Operand(n.Ref.String()))
	}
	return out
}
