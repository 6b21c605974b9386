package figure

import (
	"fmt"
	"html"
	"strings"
	"unicode"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// look is the look of a kind of changeset in a figure.
type look struct {
	class              string
	fill, stroke, text string // colours
}

// The looks of figures. Each has a mark as well: colours alone show nothing.
var (
	looksCommitted = look{"committed", "#ddf4ff", "#0969da", "#1f2328"}
	looksOpen      = look{"open", "#fff8c5", "#9a6700", "#7d4e00"}
	looksLost      = look{"lost", "#f6f8fa", "#8c959f", "#656d76"}
	looksBroken    = look{"broken", "#ffebe9", "#cf222e", "#a40e26"}
	looksHead      = look{"head", "#1f2328", "#1f2328", "#ffffff"}
	looks          = []look{looksCommitted, looksOpen, looksLost, looksBroken, looksHead}
)

func lookOf(n inspect.Node) look {
	switch {
	case !HeaderKnown(n) || n.Kind == inspect.Unknown:
		return looksBroken
	case n.Kind == inspect.Pending || n.Kind == inspect.Ahead:
		return looksOpen
	case n.Kind == inspect.Lost:
		return looksLost
	default:
		return looksCommitted
	}
}

// figure is a graph of boxes, with an arrow from each changeset to the changeset
// that it was built on, in a language that lays them out itself.
type figure struct {
	strings.Builder
	graphWords
	quote func(string) string // quotes text for the language
}

func newFigure(g inspect.Graph, quote func(string) string) *figure {
	return &figure{graphWords: graphWords{g, uniqueEnd(g.Nodes)}, quote: quote}
}

func (f *figure) line(format string, args ...any) { fmt.Fprintf(f, format+"\n", args...) }

// label returns the lines of a changeset's box, quoted.
func (f *figure) label(n inspect.Node) (lines []string) {
	mark, _ := markOf(n)
	name := fmt.Sprintf("%s %d %s", mark, n.Version, f.shownID(n.ID))
	if n.Kind == inspect.Committed && n.Fault == nil {
		name = strings.TrimPrefix(name, mark+" ")
	}
	lines = append(lines, f.quote(name))
	if HeaderKnown(n) {
		lines = append(lines, f.quote(ui.Seconds(n.RecordedAt)))
	}
	if fate := f.fate(n); fate != "" {
		lines = append(lines, f.quote(fate))
	}
	return lines
}

// headAt returns the index of the head's changeset among the nodes, or -1.
func (f *figure) headAt() int {
	for i, n := range f.graph.Nodes {
		if n.Ref == f.graph.Head.Ref {
			return i
		}
	}
	return -1
}

// links calls link for each changeset with the names of its box and of the box
// that it was built on: n and an index among the nodes, or older.
func (f *figure) links(link func(n inspect.Node, from, to string)) {
	index := map[*inspect.Node]int{}
	for i := range f.graph.Nodes {
		index[&f.graph.Nodes[i]] = i
	}
	for i, b := range basesOf(f.graph) {
		from := fmt.Sprintf("n%d", i)
		if b.older {
			link(f.graph.Nodes[i], from, "older")
		} else if b.node != nil {
			link(f.graph.Nodes[i], from, fmt.Sprintf("n%d", index[b.node]))
		}
	}
}

// Mermaid returns a graph as a Mermaid flowchart.
func Mermaid(g inspect.Graph) ui.Safe {
	f := newFigure(g, quoteMermaid)
	f.line("flowchart TB")
	if g.HeadFault != nil {
		f.line(`  head(["! head: %s"]):::broken`, f.quote(g.HeadFault.Reason))
	} else if i := f.headAt(); i >= 0 {
		f.line(`  head(["head"]):::head --> n%d`, i)
	}
	for i, n := range g.Nodes {
		f.line(`  n%d["%s"]:::%s`, i, strings.Join(f.label(n), "<br/>"), lookOf(n).class)
	}
	if g.First > 0 {
		f.line(`  older(["%s"]):::lost`, f.quote(f.older()))
	}
	f.links(func(n inspect.Node, from, to string) {
		arrow := "-->"
		if n.Kind != inspect.Committed || to == "older" {
			arrow = "-.->"
		}
		f.line("  %s %s %s", from, arrow, to)
	})
	for _, l := range looks {
		f.line("  classDef %s fill:%s,stroke:%s,color:%s", l.class, l.fill, l.stroke, l.text)
	}
	return ui.Safe(f.String())
}

// quoteMermaid returns text for a Mermaid label in quotes. Characters that could be
// markup are written by their numbers.
func quoteMermaid(text string) string {
	var out strings.Builder
	for _, r := range ui.Escape(text, ui.MaxCell) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,:@/-…", r) {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, "#%d;", r)
		}
	}
	return out.String()
}

// Dot returns a graph in the language of Graphviz.
func Dot(g inspect.Graph) ui.Safe {
	f := newFigure(g, quoteDot)
	f.line(`digraph "%s" {`, f.quote(g.AggregateID))
	f.line(`  rankdir=TB; nodesep=0.4; ranksep=0.35;`)
	f.line(`  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];`)
	f.line(`  edge [color="#656d76", arrowsize=0.7];`)
	if g.HeadFault != nil {
		f.line(`  head [label="! head: %s"%s];`, f.quote(g.HeadFault.Reason), looksBroken.dot())
	} else if i := f.headAt(); i >= 0 {
		f.line(`  head [label="head"%s];`, looksHead.dot())
		f.line(`  head -> n%d;`, i)
	}
	for i, n := range g.Nodes {
		f.line(`  n%d [label="%s", tooltip="%s"%s%s];`, i, strings.Join(f.label(n), `\n`), f.quote(n.Ref.String()), lookOf(n).dot(), inGroup(n))
	}
	if g.First > 0 {
		f.line(`  older [label="%s", group=chain%s];`, f.quote(f.older()), looksLost.dot())
	}
	f.links(func(n inspect.Node, from, to string) {
		style := ""
		if n.Kind != inspect.Committed || to == "older" {
			style = " [style=dashed]"
		}
		f.line("  %s -> %s%s;", from, to, style)
	})
	f.line("}")
	return ui.Safe(f.String())
}

func (l look) dot() string {
	return fmt.Sprintf(`, fillcolor="%s", color="%s", fontcolor="%s"`, l.fill, l.stroke, l.text)
}

// inGroup puts the changesets of the chain below one another.
func inGroup(n inspect.Node) string {
	if inChain(&n) {
		return ", group=chain"
	}
	return ""
}

// quoteDot returns text for a DOT string in quotes, where backslashes and the
// entities of HTML have a meaning.
func quoteDot(text string) string {
	return strings.ReplaceAll(html.EscapeString(ui.Escape(text, ui.MaxCell)), `\`, `\\`)
}
