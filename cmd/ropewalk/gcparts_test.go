package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/head"
)

// gc says which orphans it keeps because another chain may have their commit.
func TestGCKeepsPartsOfCommits(t *testing.T) {
	schemas := compileSchemas(t)
	p, first, _ := withCommits(t)
	p.memory.Tamper(func(c *memstore.Contents) {
		delete(c.Heads, head.ObjectName("stock-7"))
		for _, o := range c.Objects {
			o.LastModified = time.Now().Add(-30 * 24 * time.Hour)
		}
	})
	_, err := p.memory.Swap(t.Context(), head.Head{}, first[1])
	require.NoError(t, err)
	got := p.run(t.Context(), "", "gc", "--delete", "--json")
	require.NoError(t, schemas.check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"parts":{"objects":1,"bytes":1}`)
	got = p.run(t.Context(), "", "gc", "--delete")
	require.Contains(t, got.stdout, "; kept 1 object of commits of several aggregates, see --parts\n")
	got = p.run(t.Context(), "", "gc", "--delete", "--parts")
	require.Contains(t, got.stdout, "deleted 1 object")
}
