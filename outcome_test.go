package ropewalk_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/internal/chaintest"
)

// inMemory is a storage for a test in virtual time.
func inMemory() chaintest.Storage {
	db := memstore.New()
	return chaintest.Storage{Changesets: db, Heads: db, AggregateID: "order-1", Unit: time.Second}
}

// packedInMemory is such a storage of packed chains, with room for a few changesets in
// the tip.
func packedInMemory() chaintest.Storage {
	s := inMemory()
	s.Mine = ropewalk.Options{Packed: true, TipSize: 900}
	s.Others = s.Mine
	return s
}

// TestEveryOutcomeIsTrue lets every request of an append go wrong, in every
// way, in every situation.
func TestEveryOutcomeIsTrue(t *testing.T) {
	for i, situation := range chaintest.Situations() {
		t.Run(fmt.Sprintf("%+v", situation), func(t *testing.T) {
			t.Parallel()
			for j, step := range situation.Steps(time.Second) {
				if !sampled(i + j) {
					continue
				}
				t.Run(step.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { chaintest.TestOutcome(t, inMemory(), situation, step) })
				})
			}
		})
	}
}

// TestEveryOutcomeOfPackedChainsIsTrue does so for packed chains: with a tip that has
// room, with a tip that the append moves into a pack, without a tip, after changesets
// of format 1, beside writers of format 1, and by a writer of format 1 beside others.
func TestEveryOutcomeOfPackedChainsIsTrue(t *testing.T) {
	options := func(tip int) ropewalk.Options { return ropewalk.Options{Packed: true, TipSize: tip} }
	for name, layout := range map[string]struct{ mine, others ropewalk.Options }{
		"inline": {options(64 << 10), options(64 << 10)},
		"spill":  {options(450), options(450)},
		"no tip": {options(-1), options(-1)},
		"mixed":  {options(450), ropewalk.Options{}},
		"plain":  {ropewalk.Options{}, options(450)},
	} {
		for i, situation := range chaintest.Situations() {
			if situation.Combined && layout.mine.TipSize != 450 {
				continue // in one step there is no tip
			}
			if name == "plain" && !situation.Void {
				continue
			}
			situation.Packed = true
			t.Run(fmt.Sprintf("%s %+v", name, situation), func(t *testing.T) {
				t.Parallel()
				for j, step := range situation.Steps(time.Second) {
					if !sampled(i + j) {
						continue
					}
					t.Run(step.String(), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							s := inMemory()
							s.Mine, s.Others = layout.mine, layout.others
							chaintest.TestOutcome(t, s, situation, step)
						})
					})
				}
			})
		}
	}
}

func TestChainAgainstASlice(t *testing.T) {
	chaintest.TestModel(t, bubble, inMemory)
}
