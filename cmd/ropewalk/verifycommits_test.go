package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
)

// withCommits has two commits of order-1 and stock-7.
func withCommits(t *testing.T) (p *testPlace, first, second []head.Head) {
	p = newTestPlace()
	store := ropewalk.New(p.memory, p.memory, nil)
	for range 2 {
		var members []ropewalk.Member
		for _, id := range []string{"order-1", "stock-7"} {
			h, err := p.memory.Load(t.Context(), id)
			require.NoError(t, err)
			members = append(members, store.Chain(id).Appending(h, changeset.Draft{Content: []byte("x")}))
		}
		var err error
		first = second
		second, err = store.Commit(t.Context(), members...)
		require.NoError(t, err)
	}
	return p, first, second
}

// verify --all counts the commits that it has proved, and warns of torn commits: they are
// no fault, since nothing that is stored is damaged.
func TestVerifyProvesCommits(t *testing.T) {
	schemas := compileSchemas(t)
	p, first, second := withCommits(t)
	got := p.run(t.Context(), "", "verify", "--all")
	require.Equal(t, "verified 2 aggregates, 4 changesets, 4 B: 0 corrupt, 0 orphans, 0 pending; 2 whole commits of several aggregates\n", got.stdout)
	require.Empty(t, got.stderr)
	got = p.run(t.Context(), "", "verify", "order-1")
	require.NotContains(t, got.stdout, "commits")

	restore := func() {
		p.memory.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("stock-7")) })
		_, err := p.memory.Swap(t.Context(), head.Head{}, first[1])
		require.NoError(t, err)
	}
	restore()
	got = p.run(t.Context(), "", "verify", "--all")
	require.Zero(t, got.exit)
	require.Contains(t, got.stdout, "1 whole commit of several aggregates, 1 torn\n")
	require.Regexp(t, "^warning: commit [0-9a-f-]{36} is torn: 1 of its 2 aggregates have it, in "+second[0].Ref.String()+
		"; stored and not in its chain: "+second[1].Ref.String()+"\n$", got.stderr)
	got = p.run(t.Context(), "", "verify", "--all", "--json")
	require.Zero(t, got.exit)
	require.NoError(t, schemas.check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"kind":"torn"`)
	require.Contains(t, got.stdout, `"commits":1,"torn":1}`)

	got = p.run(t.Context(), "", "rebuild-head", "stock-7", "--yes")
	require.Zero(t, got.exit, got.stderr)
	require.Contains(t, got.stdout, "It was committed: "+second[1].Ref.String()+" is a part of commit ")
	require.Contains(t, got.stdout, ", which "+second[0].Ref.String()+" has.\n")
	got = p.run(t.Context(), "", "verify", "--all")
	require.Contains(t, got.stdout, "; 2 whole commits of several aggregates\n")
	restore()
	got = p.run(t.Context(), "", "rebuild-head", "stock-7", "--yes", "--json")
	require.NoError(t, schemas.check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"commits":[{"commit":"`)
	restore()

	_, err := gc.New(p.memory, p.memory, nil).Erase(t.Context(), "order-1")
	require.NoError(t, err)
	got = p.run(t.Context(), "", "verify", "--all")
	require.Contains(t, got.stdout, "; 0 whole commits of several aggregates, 1 with parts that were erased or could not be read\n")
	require.Empty(t, got.stderr)
	got = p.run(t.Context(), "", "verify", "--all", "--json")
	require.NoError(t, schemas.check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"unproved_commits":1}`)
}
