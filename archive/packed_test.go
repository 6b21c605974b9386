package archive

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/head"
)

// mixes are options of writers of packed chains, and of writers of both formats.
var mixes = map[string][]*ropewalk.Options{
	"packed":         {{Packed: true, TipSize: 64 << 10}},
	"packed, spills": {{Packed: true, TipSize: 1 << 10}},
	"mixed":          {nil, nil, nil, {Packed: true, TipSize: 700}, {Packed: true, TipSize: -1}},
}

// inPackedChains runs a test for each mix of writers, with -short for the last mix, in
// which all kinds of chains are.
func inPackedChains(t *testing.T, test func(t *testing.T)) {
	t.Cleanup(func() { formats = nil })
	for name, mix := range mixes {
		if testing.Short() && name != "mixed" {
			continue
		}
		formats = mix
		t.Run(name, test)
	}
}

// What holds for archives of format 1 holds for packed chains: each row is there once, and
// is proved by the digest of its changeset.
func TestArchivesOfPackedChains(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"run": TestRun, "bounded batches": TestBatchesAreBounded, "resumed runs": TestResumedRuns, "same files": TestSameFiles,
		"verify": TestVerify, "verify erased": TestVerifyErased, "forged rows": TestVerifyFindsForgedRows,
		"erase": TestErase, "run after erasure": TestRunAfterErasure, "erasure within a batch": TestErasureWithinABatch,
	} {
		t.Run(name, func(t *testing.T) { inPackedChains(t, test) })
	}
}

// The rows of the same events are the same in all formats, apart from IDs, times and
// digests.
func TestRowsOfAllFormatsAreAlike(t *testing.T) {
	rows := func(t *testing.T) []string {
		w, d := newWorld(t), newMemory()
		w.fill(60)
		run(t, w, d, small)
		require.Empty(t, verify(t, w, d).Findings)
		all := archived(t, d)
		for i, row := range all {
			before, rest, _ := strings.Cut(row, ".") // before the changeset ID
			_, rest, _ = strings.Cut(rest, "#")
			all[i] = before + "#" + rest[:strings.LastIndex(rest, " ")]
		}
		slices.Sort(all)
		return all
	}
	want := rows(t)
	require.Len(t, slices.Compact(slices.Clone(want)), len(want))
	inPackedChains(t, func(t *testing.T) { require.Equal(t, want, rows(t)) })
}

// A packed chain that has lost its head, or was restored and went another way, is not the
// chain that was archived.
func TestVerifyFindsOtherPackedChains(t *testing.T) {
	inPackedChains(t, func(t *testing.T) {
		w, d := newWorld(t), newMemory()
		var older ropewalk.Head
		for i := range 6 {
			w.fill(5)
			if i == 3 {
				older = w.heads["order-1"]
			}
		}
		run(t, w, d, small)
		record, err := head.EncodeJSON(older)
		require.NoError(t, err)
		w.db.Tamper(func(stored *memstore.Contents) { stored.Heads[head.ObjectName("order-1")] = record })
		w.heads["order-1"] = older
		for range 4 { // beyond where the archive ends
			w.write("order-1", "other")
		}
		proof, err := verifyAll(t, w, d)
		if err != nil { // the log names what was lost with the tip
			require.ErrorAs(t, err, new(*ropewalk.CorruptError))
			return
		}
		require.NotEmpty(t, proof.Findings)
		require.Equal(t, "order-1", proof.Findings[0].Ref.AggregateID)
	})
}

func verifyAll(t *testing.T, w *world, d Destination) (total Proof, err error) {
	for p, err := range Open(d, nil).Verify(t.Context(), w.store) {
		if err != nil {
			return total, err
		}
		total.Findings = append(total.Findings, p.Findings...)
	}
	return total, nil
}
