package report

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const preface = `# Performance

This page is written by ` + "`make bench`" + `, which measures all of it again in less than twenty minutes; the command below each
heading repeats one part. The figures are in the JSON files beside this page.

**How it is measured.** Every comparison is a ratio within one run: the variants take turns on the same machine, against
the same server, and the ratio is taken turn by turn. A figure is the median of its runs, with the lowest and the highest
in brackets. *Trips* are dependent round trips, counted exactly, in virtual time in which every request takes equally
long; *requests* are counted where they leave the HTTP client, or at the store's two interfaces. Latency is added by the HTTP
client to every request, and keeps its connection busy for as long, as a network does; throughput is not limited. Servers,
client and this command share the machine's cores. At many requests a second they limit a figure together: a client that
talks to a service elsewhere has the cores to itself. Prices are list prices of a stated time.
A table says where a figure was computed instead.
`

// Page writes the page of all results, and their plots beside it, to the folder.
func Page(folder string, all []Results) error {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("\n")
	for _, r := range all {
		fmt.Fprintf(&b, "- [%s](#%s)\n", r.Title, anchor(r.Title))
	}
	for _, r := range all {
		r.section(&b)
		for _, p := range r.Plots {
			if err := write(filepath.Join(folder, p.file()), []byte(p.SVG())); err != nil {
				return err
			}
		}
	}
	return write(filepath.Join(folder, "performance.md"), []byte(b.String()))
}

func (p Plot) file() string { return p.Name + ".svg" }

// anchor is how a heading is linked to.
func anchor(title string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ' || c == '-':
			return '-'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			return c
		default:
			return -1
		}
	}, strings.ToLower(title))
}

func (r Results) section(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", r.Title)
	if r.Quick {
		b.WriteString("**A quick run, with sizes and repetitions cut down: no figure to quote.**\n\n")
	}
	fmt.Fprintf(b, "%s\n\n```console\n$ %s\n```\n\n", strings.TrimSpace(r.Setup), r.Command)
	r.table(b)
	for _, p := range r.Plots {
		fmt.Fprintf(b, "\n![%s](%s)\n", p.Title, p.file())
	}
	if len(r.Limits) > 0 {
		b.WriteString("\n**What limits these figures, and what would be next**\n\n")
		for _, l := range r.Limits {
			fmt.Fprintf(b, "- %s\n", l)
		}
	}
	fmt.Fprintf(b, "\n<sub>%s, in %.0f s, seed %d: %s.", r.Date.UTC().Format(time.DateOnly), r.Seconds, r.Seed, r.Machine)
	if len(r.Peers) > 0 {
		fmt.Fprintf(b, " With %s.", strings.Join(r.Peers, ", "))
	}
	if r.Conditions != "" {
		fmt.Fprintf(b, " %s.", r.Conditions)
	}
	b.WriteString("</sub>\n")
}

// columns of a table, and how each is filled; those that no row fills are left out.
var columns = []struct {
	head  string
	right bool
	cell  func(Row) string
}{
	{"", false, func(r Row) string { return r.Name }},
	{"what", false, func(r Row) string { return r.What }},
	{"n", true, func(r Row) string { return orNothing(r.N) }},
	{"median (lowest–highest)", true, func(r Row) string { return r.Value.cell(r.Unit) }},
	{"runs", true, func(r Row) string { return orNothing(r.Value.Runs) }},
	{"trips", true, func(r Row) string { return orNothing(r.Trips) }},
	{"requests", true, func(r Row) string { return orNothing(r.Requests) }},
	{"within this run", true, ratioCell},
	{"aim", false, aimCell},
	{"", false, func(r Row) string { return r.Note }},
}

func (r Results) table(b *strings.Builder) {
	var shown []int
	for i, c := range columns {
		for _, row := range r.Rows {
			if c.cell(row) != "" {
				shown = append(shown, i)
				break
			}
		}
	}
	for _, i := range shown {
		fmt.Fprintf(b, "| %s ", columns[i].head)
	}
	b.WriteString("|\n")
	for _, i := range shown {
		if columns[i].right {
			b.WriteString("| ---: ")
		} else {
			b.WriteString("| --- ")
		}
	}
	b.WriteString("|\n")
	for _, row := range r.Rows {
		for _, i := range shown {
			fmt.Fprintf(b, "| %s ", columns[i].cell(row))
		}
		b.WriteString("|\n")
	}
}

func orNothing(n int) string {
	if n == 0 {
		return ""
	}
	return Count(n)
}

func (s Stat) cell(unit string) string {
	if s.Runs == 0 {
		return ""
	}
	spread := ""
	if s.Runs > 1 {
		spread = fmt.Sprintf(" (%s–%s)", Number(s.Low), Number(s.High))
	}
	if unit == "$" {
		return "$" + Number(s.Median) + spread
	}
	return Number(s.Median) + spread + " " + unit
}

func ratioCell(r Row) string {
	if r.Ratio == nil {
		return ""
	}
	return fmt.Sprintf("%s × %s", strings.TrimSpace(r.Ratio.cell("")), r.RatioTo)
}

func aimCell(r Row) string {
	switch {
	case r.Target == "":
		return ""
	case r.Met:
		return r.Target + ": met"
	default:
		return r.Target + ": **missed**"
	}
}
