package soak

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Figures are what happened in one place.
type Figures struct {
	// Place names the storage.
	Place string
	// Seed is the first history's seed. Each following history's is 1 more.
	Seed uint64
	// Took is the time that it took, in real time.
	Took time.Duration

	Histories, Violations, Inconclusive int
	Operations                          map[Kind]map[Outcome]int
	Uncertain                           int // appends that were uncertain to their callers at first
	Faults                              map[string]int
	Orphans, Collected, Fences, Erased  int
}

// Add adds histories to the figures.
func (f *Figures) Add(histories ...*History) {
	if f.Operations == nil {
		f.Operations, f.Faults = map[Kind]map[Outcome]int{}, map[string]int{}
	}
	for _, h := range histories {
		f.Histories++
		f.Violations += min(1, len(h.Violations))
		if h.Inconclusive {
			f.Inconclusive++
		}
		for _, op := range h.Operations {
			f.count(op)
		}
		for name, n := range h.Faults {
			f.Faults[name] += n
		}
		f.Orphans, f.Collected, f.Fences = f.Orphans+h.Orphans, f.Collected+h.Collected, f.Fences+h.Fences
		if h.Erased {
			f.Erased++
		}
	}
}

func (f *Figures) count(op *Operation) {
	if f.Operations[op.Kind] == nil {
		f.Operations[op.Kind] = map[Outcome]int{}
	}
	f.Operations[op.Kind][op.Outcome]++
	if op.Uncertain {
		f.Uncertain++
	}
}

// Table returns the figures of several places as a Markdown table, one column
// for each.
func Table(all []*Figures) string {
	t := table{all: all}
	t.row("", func(f *Figures) string { return f.Place })
	t.text.WriteString("| ---" + strings.Repeat(" | ---:", len(all)) + " |\n")
	t.numbers("histories", func(f *Figures) int { return f.Histories })
	t.numbers("violations", func(f *Figures) int { return f.Violations })
	t.numbers("inconclusive", func(f *Figures) int { return f.Inconclusive })
	for _, kind := range []Kind{Append, Repeat, Update, Batch, Read, Erase} {
		for _, outcome := range []Outcome{Done, Refused, Gone, Unknown, Failed} {
			t.numbers(fmt.Sprintf("%s: %s", kind, outcome), func(f *Figures) int { return f.Operations[kind][outcome] })
		}
	}
	t.numbers("uncertain at first", func(f *Figures) int { return f.Uncertain })
	for _, name := range t.faults() {
		t.numbers("requests "+name, func(f *Figures) int { return f.Faults[name] })
	}
	t.numbers("orphans at the end", func(f *Figures) int { return f.Orphans })
	t.numbers("objects collected", func(f *Figures) int { return f.Collected })
	t.numbers("heads fenced", func(f *Figures) int { return f.Fences })
	t.numbers("aggregates erased", func(f *Figures) int { return f.Erased })
	t.row("seeds", func(f *Figures) string { return fmt.Sprintf("%d to %d", f.Seed, f.Seed+uint64(max(1, f.Histories))-1) })
	t.row("took", func(f *Figures) string { return f.Took.Round(100 * time.Millisecond).String() })
	return t.text.String()
}

type table struct {
	all  []*Figures
	text strings.Builder
}

func (t *table) row(name string, cell func(*Figures) string) {
	t.text.WriteString("| " + name)
	for _, f := range t.all {
		t.text.WriteString(" | " + cell(f))
	}
	t.text.WriteString(" |\n")
}

// numbers adds a row, but of zeros only those that say something.
func (t *table) numbers(name string, cell func(*Figures) int) {
	none := !slices.ContainsFunc(t.all, func(f *Figures) bool { return cell(f) > 0 })
	if none && !slices.Contains([]string{"violations", "inconclusive"}, name) {
		return
	}
	t.row(name, func(f *Figures) string { return Grouped(cell(f)) })
}

// faults returns the names of all faults, the most frequent first.
func (t *table) faults() []string {
	total := map[string]int{}
	for _, f := range t.all {
		for name, n := range f.Faults {
			total[name] += n
		}
	}
	return slices.SortedFunc(maps.Keys(total), func(a, b string) int { return cmp.Or(total[b]-total[a], strings.Compare(a, b)) })
}

// Grouped returns a number with commas between its thousands.
func Grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
