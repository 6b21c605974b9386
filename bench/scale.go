package main

import (
	"cmp"
	"context"
	"fmt"

	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
)

var scaleExperiment = experiment{
	name: "scale", title: "One aggregate that grows to a million changesets",
	setup: `Trips and requests, counted in virtual time over a synthetic storage that computes changesets when they are read. *Any
ten in the newest 24,000* is the dearest of ranges at 150 places, the request for the head included, and so are *any ten
in all of the history* and *the newest 100*.`,
	run: runScale,
}

// near is how far back a range is found at the same cost whatever the length.
const near = 24_000

func runScale(ctx context.Context, l *laboratory, r *report.Results) error {
	lengths := pick(l, []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}, []int{1, 10, 300})
	var tasks []lab.Task
	kinds := map[int]string{} // of the task at that place
	var lengthOf []int        // for which it stands
	for _, n := range lengths {
		add := func(kind string, t lab.Task) {
			t.N = cmp.Or(t.N, n)
			lengthOf = append(lengthOf, n)
			kinds[len(tasks)] = kind
			tasks = append(tasks, t)
		}
		add("append", lab.Task{Do: lab.DoAppend})
		add("largest head", lab.Task{Do: lab.DoRange, N: largest(n), First: largest(n) - 1, Last: largest(n) - 1})
		add("the newest 100", lab.Task{Do: lab.DoRange, First: max(0, n-100), Last: n - 1})
		for _, kind := range []struct {
			name  string
			reach int
		}{{"any ten in the newest 24,000", min(n, near)}, {"any ten in all of the history", n}} {
			for i := range 150 {
				last := n - 1 - i*max(0, kind.reach-10)/149
				add(kind.name, lab.Task{Do: lab.DoRange, First: max(0, last-9), Last: last})
			}
		}
	}
	costs, err := l.trips(ctx, tasks...)
	if err != nil {
		return err
	}
	l.scaleRows(r, lengths, lengthOf, kinds, costs)
	r.Limits = []string{
		"An append puts one object and swaps one head, whatever lies below: two trips. The head's record grows with the ancestor index, which has 51 IDs at most and so stops growing at 24,576 changesets.",
		"A range is found by lookups, one after the other: up to 4 within the newest 24,576 changesets, which the four wheels of the index reach, and one more for each 24,576 further back.",
		"Next: a fifth wheel would carry the same reach to 393,000 changesets, with 15 IDs more in every header; the 2,048 bytes of metadata that S3 allows have no room for them beside the longest that all other fields may be.",
	}
	return nil
}

// largest returns the length up to n at which the head's ancestor index has the
// most IDs, and the head its most bytes.
func largest(n int) int {
	best, most := n, -1
	for length := n; length > max(0, n-1<<16); length-- {
		ids := length&15 + length>>4&15 + length>>8&15 + min(6, length>>12)
		if ids > most {
			best, most = length, ids
		}
	}
	return best
}

func (l *laboratory) scaleRows(r *report.Results, lengths, lengthOf []int, kinds map[int]string, costs []lab.Cost) {
	most := map[string]lab.Cost{}
	key := func(kind string, n int) string { return fmt.Sprint(kind, n) }
	for i, c := range costs {
		k := key(kinds[i], lengthOf[i])
		worst := most[k]
		most[k] = lab.Cost{Trips: max(worst.Trips, c.Trips), Requests: max(worst.Requests, c.Requests), Bytes: c.Bytes}
	}
	plot := report.Plot{Name: "scale", Title: "Round trips, by the length of the history", X: "changesets", Y: "trips"}
	for _, kind := range []string{"append", "the newest 100", "any ten in the newest 24,000", "any ten in all of the history"} {
		line := report.Series{Name: kind}
		for _, n := range lengths {
			c := most[key(kind, n)]
			row := report.Row{Name: kind, N: n, Trips: c.Trips, Requests: c.Requests}
			if kind == "append" {
				row.Note = fmt.Sprintf("the head has had at most %s bytes", report.Count(most[key("largest head", n)].Bytes))
			}
			r.Rows = append(r.Rows, row)
			line.Points = append(line.Points, report.Point{X: float64(n), Y: report.One(float64(c.Trips))})
		}
		plot.Series = append(plot.Series, line)
	}
	r.Plots = []report.Plot{plot}
}
