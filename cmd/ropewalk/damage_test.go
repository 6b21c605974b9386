package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/faults"
	"ropewalk/head"
)

// damagedPlace has the aggregates a to e. Of these the head of b is not JSON,
// and the head of d can only be read by a newer version.
func damagedPlace(t *testing.T) *testPlace {
	p := newTestPlace()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		require.Zero(t, p.run(t.Context(), "{}\n", "append", id, "--new").exit)
	}
	p.memory.Tamper(func(all *memstore.Contents) {
		all.Heads[head.ObjectName("b")] = []byte("{")
		newer := strings.NewReplacer(`"format":1`, `"format":3`, `"min-reader":1`, `"min-reader":3`)
		all.Heads[head.ObjectName("d")] = []byte(newer.Replace(string(all.Heads[head.ObjectName("d")])))
	})
	return p
}

func TestDamagedHeadsStopNoCommand(t *testing.T) {
	schemas := compileSchemas(t)
	const first = "hint: see what is wrong: ropewalk verify b\n"
	for _, test := range []struct {
		args           []string
		stdout, stderr []string // what each must hold
	}{
		{[]string{"ls"}, []string{"a\nc\ne\n"}, []string{"warning: corrupt: head of b: ", "warning: head of \"d\"", "2 aggregates could not be read, all others were listed; the first of them: corrupt: head of b", first}},
		{[]string{"ls", "-l"}, []string{"\na  ", "\nc  ", "\ne  "}, []string{"2 aggregates could not be read", first}},
		{[]string{"ls", "--after", "b"}, []string{"c\ne\n"}, []string{"error: head of \"d\"", "all other aggregates were listed", "ropewalk verify d"}},
		{[]string{"ls", "b"}, nil, []string{"error: corrupt: head of b"}},
		{[]string{"export"}, []string{"{\"aggregate\":\"a\"}\n{\"aggregate\":\"c\"}\n{\"aggregate\":\"e\"}\n"}, []string{"2 aggregates could not be read, all others were exported", first}},
		{[]string{"export", "a", "b", "c"}, []string{"{\"aggregate\":\"a\"}\n{\"aggregate\":\"c\"}\n"}, []string{"error: load head of \"b\": corrupt: head of b"}},
		{[]string{"gc"}, []string{"looked at 5 aggregates"}, []string{"2 aggregates could not be collected, the others are done", first}},
		{[]string{"flush", "--all"}, []string{"moved 0 changesets into 0 objects, 0 B, of 0 aggregates"}, []string{"2 aggregates could not be flushed, the others are done", first}},
		{[]string{"verify", "--all"}, []string{"verified 5 aggregates", "\nd "}, []string{"verify found 2 faults in 2 aggregates"}},
	} {
		got := damagedPlace(t).run(t.Context(), "", test.args...)
		require.Equal(t, 6, got.exit, "%s: %s", test.args, got.stderr)
		for _, want := range test.stdout {
			require.Contains(t, got.stdout, want, test.args)
		}
		for _, want := range test.stderr {
			require.Contains(t, got.stderr, want, test.args)
		}

		got = damagedPlace(t).run(t.Context(), "", append(test.args, "--json")...)
		require.Equal(t, 6, got.exit, test.args)
		require.NoError(t, schemas.check([]byte(got.stdout)), test.args)
	}
	got := damagedPlace(t).run(t.Context(), "", "ls", "--json")
	require.Contains(t, got.stdout, `"kind":"problem","aggregate":"b","object":"memory:heads/b"`)
	require.Contains(t, got.stdout, `"kind":"problem","aggregate":"d"`)
	require.Zero(t, damagedPlace(t).run(t.Context(), "", "ls", "c").exit, "no damaged head has the prefix")
}

// A changeset that is damaged ends the history of its aggregate alone.
func TestExportPastDamagedChangesets(t *testing.T) {
	p := newTestPlace()
	for range 3 {
		for _, id := range []string{"a", "b"} {
			require.Zero(t, p.run(t.Context(), "{}\n", "append", id, "--any").exit)
		}
	}
	sp, err := p.store(t).span(t.Context(), reference.Reference{ID: "a"})
	require.NoError(t, err)
	c, err := sp.reader.At(t.Context(), 1)
	require.NoError(t, err)
	p.memory.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body[0] ^= 1 })
	got := p.run(t.Context(), "", "export")
	require.Equal(t, 6, got.exit)
	require.Equal(t, `{"aggregate":"a"}`+"\n"+strings.Repeat(`{"aggregate":"b"}`+"\n", 3), got.stdout)
	require.Contains(t, got.stderr, "error: corrupt: "+c.Ref.String())
}

func TestVerifyGoesOnAfterAMissingAggregate(t *testing.T) {
	p := damagedPlace(t)
	got := p.run(t.Context(), "", "verify", "a", "nothere", "c")
	require.Equal(t, 3, got.exit)
	require.Contains(t, got.stdout, "verified 2 aggregates, 2 changesets")
	require.Contains(t, got.stderr, "\"nothere\": not found")
	got = p.run(t.Context(), "", "verify", "nothere", "b")
	require.Equal(t, 6, got.exit, "a fault is worse than an aggregate that does not exist")
	require.Contains(t, got.stderr, "verify found 1 fault in 1 aggregate; ")
	require.Contains(t, got.stderr, "\"nothere\": not found")
}

// A verification that the storage ends reports the aggregates before it.
func TestVerifyReportsWhatItHasDone(t *testing.T) {
	p := newTestPlace()
	for _, id := range []string{"a", "b"} {
		require.Zero(t, p.run(t.Context(), "{}\n", "append", id, "--new").exit)
	}
	p.script.On(faults.Load, 2, faults.Fault{Kind: faults.Dropped})
	got := p.run(t.Context(), "", "verify", "a", "b")
	require.Equal(t, 1, got.exit)
	require.Contains(t, got.stdout, "verified 1 aggregate, 1 changeset")
}

// A file that is damaged as a whole ends a command: the others fare no better.
func TestDamageOfAnAggregateAndOfAFile(t *testing.T) {
	require.True(t, confined(&ropewalk.CorruptError{Ref: changeset.Ref{AggregateID: "a"}}))
	require.False(t, confined(&ropewalk.CorruptError{Object: "sqlite:x.db"}))
}
