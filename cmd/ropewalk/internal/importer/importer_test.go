package importer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// A head that goes back during an import is noticed.
func TestImportNoticesALostHead(t *testing.T) {
	memory := memstore.New()
	m := newImporter(t.Context(), ropewalk.New(memory, memory, nil), "file", Options{Parallel: 1, Progress: &ui.Progress{}})
	g := func(position int64) *group {
		return &group{aggregate: "a", position: position, events: 1, line: position + 1, content: []byte("{}\n")}
	}
	track := &track{id: "a"}
	added, err := m.importOne(track, g(0))
	require.NoError(t, err)
	require.True(t, added)
	memory.Tamper(func(all *memstore.Contents) { clear(all.Heads) })
	track.chain = nil // as for one among many
	_, err = m.importOne(track, g(1))
	require.Equal(t, cliexit.HeadLost, cliexit.Classify(t.Context(), err))
}

// Chains beyond those that are remembered are read again, to the same end.
func TestImportForgetsChains(t *testing.T) {
	memory := memstore.New()
	s := ropewalk.New(memory, memory, nil)
	m := newImporter(t.Context(), s, "file", Options{Field: "aggregate", Group: 1, Parallel: 4, Progress: &ui.Progress{}})
	m.chains = maxChains
	var input strings.Builder
	want := map[string][]string{}
	for i := range 500 {
		id := fmt.Sprintf("order-%d", i*i%97)
		line := fmt.Sprintf("{\"n\":%d,\"aggregate\":%q}\n", i, id)
		input.WriteString(line)
		want[id] = append(want[id], line)
	}
	require.NoError(t, m.run(NewLines("file", strings.NewReader(input.String()))))
	require.Equal(t, maxChains, m.chains)
	require.Equal(t, want, contents(t, s))
}

// contents returns the contents of all chains, by aggregate.
func contents(t *testing.T, s *ropewalk.Store) map[string][]string {
	all := map[string][]string{}
	for h, err := range s.Heads(t.Context(), "") {
		require.NoError(t, err)
		for c, err := range s.Chain(h.AggregateID).ReaderAt(h).All(t.Context()) {
			require.NoError(t, err)
			all[h.AggregateID] = append(all[h.AggregateID], string(c.Content))
		}
	}
	return all
}

// An import counts what it did; a second run skips all of it.
func TestImportIsRepeatable(t *testing.T) {
	memory := memstore.New()
	s := ropewalk.New(memory, memory, nil)
	const input = "{\"aggregate\":\"a\"}\n{\"aggregate\":\"b\"}\n{\"aggregate\":\"a\"}"
	options := Options{Field: "aggregate", Group: 2, Parallel: 2, Progress: &ui.Progress{}}
	done := Counts{2, 2, 3}
	for _, want := range []Result{{Imported: done}, {Skipped: done}} {
		got, err := Run(t.Context(), s, NewLines("file", strings.NewReader(input)), options)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := Run(t.Context(), s, NewLines("file", strings.NewReader(input+"\n{}")), options)
	require.EqualError(t, err, `file, line 4: field "aggregate" is missing`)
	require.Equal(t, cliexit.BadLine, cliexit.Classify(t.Context(), err))
}
