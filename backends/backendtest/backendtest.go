// Package backendtest holds the implementations of the two interfaces,
// [changeset.Store] and [head.Store], to every sentence of their contracts.
//
// A backend's test hands a [Harness] to [TestChangesets], [TestHeads],
// [TestCombined] and [TestLog], for the interfaces that it implements. Each check is a subtest
// that is named after its demand. The checks make aggregates of their own,
// with IDs that no other run has, except for a few odd IDs such as "..": a run
// therefore needs a storage, or a prefix in one, that no other run uses at the
// same time. Everything that a run stores stays there.
package backendtest

import (
	"cmp"
	"testing"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Harness is how the suite reaches the backend under test. Only the functions
// of the interfaces that are tested are needed; the rest has useful zero values.
type Harness struct {
	// Changesets must return a new client, or handle, of the same storage on
	// each call, and release it at the end of t. It may be called by many
	// subtests, but never by two goroutines at once.
	Changesets func(t testing.TB) changeset.Store
	// Heads is the same for heads. For [TestLog] it must return a store that has
	// [head.Log]. For [TestCombined] it must return a
	// [head.Combined] that puts changesets where Changesets finds them.
	Heads func(t testing.TB) head.Store

	// MaxContent is the size of the largest content in bytes; 0 means 64 MiB.
	MaxContent int64
	// Racers is the number of handles that race; 0 means 16.
	Racers int
	// Rounds is the number of races of each kind; 0 means 8.
	Rounds int
	// Listed is the number of objects, aggregates and heads in the long
	// listings; 0 means 60. Above the size of the service's pages, often
	// 1,000, it tests the borders of pages.
	Listed int

	// InjectUnknownField, where it is not nil, must add a field that this
	// version does not know to the aggregate's stored head.
	InjectUnknownField func(t testing.TB, aggregateID string)
	// UnknownField must return that field's stored value. It is nil for a store
	// that reads such fields, since [head.Head.Extra] then has them.
	UnknownField func(t testing.TB, aggregateID string) string
	// CorruptHead, where it is not nil, must change the aggregate's stored head
	// so that it does not decode, and return a function that repairs it.
	CorruptHead func(t testing.TB, aggregateID string) (repair func())
	// CorruptObject, where it is not nil, must change the metadata of the stored
	// changeset so that it does not decode.
	CorruptObject func(t testing.TB, ref changeset.Ref)
	// PutForeign, where it is not nil, must store an object that is no
	// changeset under the name, which is relative to the store's prefix.
	PutForeign func(t testing.TB, name string)
}

// TestChangesets holds a [changeset.Store] to its contract, and to the contracts
// of [changeset.ManyGetter], [changeset.RangeGetter], [changeset.Lister],
// [changeset.Scanner], [changeset.Deleter] and [changeset.Locator] if it has them
// ([changeset.As]); otherwise it skips their checks.
func TestChangesets(t *testing.T, h Harness) { run(t, h, changesetChecks()) }

// TestHeads holds a [head.Store] to its contract, and to the contracts of
// [head.Refresher], [head.Tagger] and [head.Locator] if it has them ([head.As]);
// otherwise it skips their checks.
func TestHeads(t *testing.T, h Harness) { run(t, h, headChecks()) }

// TestCombined holds a [head.Combined] to the part of its contract that goes
// beyond [head.Store].
func TestCombined(t *testing.T, h Harness) { run(t, h, combinedChecks()) }

// TestLog holds a [head.Store] to the contract of [head.Log]. The storage should be
// new: one check is about an empty log. With other writers at work, the checks fail.
func TestLog(t *testing.T, h Harness) { run(t, h, logChecks()) }

// check is one demand of a contract.
type check struct {
	name string
	run  func(t testing.TB, h Harness)
}

func run(t *testing.T, h Harness, checks []check) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, h.withDefaults()) })
	}
}

func (h Harness) withDefaults() Harness {
	h.MaxContent = cmp.Or(h.MaxContent, 64<<20)
	h.Racers = cmp.Or(h.Racers, 16)
	h.Rounds = cmp.Or(h.Rounds, 8)
	h.Listed = cmp.Or(h.Listed, 60)
	return h
}

func changesetChecks() []check {
	return concat(putChecks, getChecks, manyChecks, rangeChecks, contentChecks, changesetContextChecks, changesetMidwayChecks, objectsChecks, aggregatesChecks, scanChecks, deleteChecks, packChecks, oddChangesetChecks)
}

func headChecks() []check {
	return concat(swapChecks, refreshChecks, recordChecks, packedHeadChecks, voidChecks, moveChecks, conflictChecks, headContextChecks, headMidwayChecks, raceChecks, headListChecks, tagChecks, oddHeadChecks)
}

func concat(groups ...[]check) []check {
	var all []check
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}
