package main

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// A step of many aggregates stores what appends one by one store.
func TestImportTogetherIsImportOneByOne(t *testing.T) {
	input, byAggregate := events(rand.New(rand.NewPCG(9, 9)), 150, 3000)
	histories := func(apart bool) map[string][]changeset.Header {
		p := newTestPlace()
		p.apart = apart
		got := p.run(t.Context(), input, "import", "-", "--group", "2", "--json")
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, countsJSON{int64(len(byAggregate)), counts(t, got.stdout).Imported.Changesets, 3000}, counts(t, got.stdout).Imported)
		require.Equal(t, grouped(byAggregate, 2), p.contents(t))
		require.Equal(t, apart, p.script.Calls(faults.SwapAll) == 0)
		require.Equal(t, apart, p.script.Calls(faults.Commit) > 0)
		all := map[string][]changeset.Header{}
		for h, err := range p.memory.List(t.Context(), "") {
			require.NoError(t, err)
			require.Equal(t, h.Len(), h.Revision)
			all[h.AggregateID] = headersOf(t, p, h)
		}
		return all
	}
	require.Equal(t, histories(true), histories(false))
}

// headersOf returns the headers of a chain, without what differs from run to run.
func headersOf(t *testing.T, p *testPlace, h head.Head) []changeset.Header {
	all, err := ropewalk.Collect(p.store(t).Chain(h.AggregateID).ReaderAt(h).Headers(t.Context(), ropewalk.Range{}))
	require.NoError(t, err)
	for i, h := range all {
		all[i] = changeset.Header{
			Ref: changeset.Ref{AggregateID: h.AggregateID, Version: h.Version}, AfterRevision: h.AfterRevision, Part: h.Part,
			CommandID: h.CommandID, ContentType: h.ContentType, BodySHA256: h.BodySHA256,
		}
	}
	return all
}

// The lines of a step are imported once, also if the step fails.
func TestImportAfterAStepThatFails(t *testing.T) {
	input, byAggregate := events(rand.New(rand.NewPCG(3, 3)), 30, 200)
	for _, kind := range []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused} {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			p.script.Every(faults.SwapAll, faults.Fault{Kind: kind})
			got := p.run(t.Context(), input, "import", "-", "--json")
			require.Zero(t, got.exit, got.stderr)
			require.Equal(t, countsJSON{30, 200, 200}, counts(t, got.stdout).Imported)
			p.script.Release()
			require.Equal(t, grouped(byAggregate, 1), p.contents(t))
			require.Empty(t, p.script.Unused())
		})
	}
}

// A chain that has changed meanwhile is read again, and the lines are compared with it; the
// other chains of the step are imported. One worker takes the lines in their order, so that the
// first step has chain a, whether or not the other lines have been read by then.
func TestImportAfterAConflictOfAStep(t *testing.T) {
	p := newTestPlace()
	p.script.On(faults.SwapAll, 1, faults.Fault{Before: func() {
		got := p.run(t.Context(), `{"aggregate":"a","n":1}`+"\n"+`{"aggregate":"a","n":"other"}`, "import", "-")
		require.Zero(t, got.exit, got.stderr)
	}})
	got := p.run(t.Context(), `{"aggregate":"a","n":1}`+"\n"+`{"aggregate":"b","n":1}`+"\n"+`{"aggregate":"a","n":2}`, "import", "-", "--json", "--group", "1", "--parallel", "1")
	require.Equal(t, 4, got.exit)
	require.Contains(t, got.stderr, `line 3: aggregate "a": a@1`)
	require.Contains(t, got.stderr, "is not what would be imported there")
	require.Equal(t, countsJSON{1, 1, 1}, counts(t, got.stdout).Imported)
	require.Equal(t, int64(1), counts(t, got.stdout).Skipped.Events)
}

// Chains that a step cannot append to, erased, void and packed ones, are imported one by one.
func TestImportOfChainsThatNoStepTakes(t *testing.T) {
	p := newTestPlace()
	packed := p.store(t).with(ropewalk.Options{Packed: true})
	first := `{"aggregate":"packed","n":1}` + "\n"
	require.Zero(t, p.run(t.Context(), first, "import", "-").exit)
	h, err := p.memory.Load(t.Context(), "packed")
	require.NoError(t, err)
	_, err = packed.Chain("packed").Append(t.Context(), h, changeset.Draft{Content: []byte("own")})
	require.NoError(t, err)
	_, err = p.memory.Swap(t.Context(), head.Head{}, head.Head{Ref: changeset.Ref{AggregateID: "void"}, Revision: 1, State: head.Void, Formats: head.Packed})
	require.NoError(t, err)
	require.Zero(t, p.run(t.Context(), `{"aggregate":"erased"}`, "import", "-").exit)
	require.Zero(t, p.run(t.Context(), "", "erase", "erased", "--yes").exit)
	p.script.Reset()
	got := p.run(t.Context(), first+`{"aggregate":"void","n":1}`+"\n"+`{"aggregate":"new","n":1}`+"\n"+`{"aggregate":"erased"}`, "import", "-", "--json", "--skip-erased")
	require.Zero(t, got.exit, got.stderr)
	done := counts(t, got.stdout)
	require.Equal(t, countsJSON{2, 2, 2}, done.Imported)
	require.Equal(t, countsJSON{1, 1, 1}, done.Skipped)
	require.Equal(t, int64(1), done.Erased.Events)
}
