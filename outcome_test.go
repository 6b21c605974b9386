package ropewalk_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/internal/chaintest"
)

// inMemory is a storage for a test in virtual time.
func inMemory() chaintest.Storage {
	db := memstore.New()
	return chaintest.Storage{Changesets: db, Heads: db, AggregateID: "order-1", Unit: time.Second}
}

// TestEveryOutcomeIsTrue lets every request of an append go wrong, in every
// way, in every situation.
func TestEveryOutcomeIsTrue(t *testing.T) {
	for _, situation := range chaintest.Situations() {
		t.Run(fmt.Sprintf("%+v", situation), func(t *testing.T) {
			t.Parallel()
			for _, step := range situation.Steps(time.Second) {
				t.Run(step.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { chaintest.TestOutcome(t, inMemory(), situation, step) })
				})
			}
		})
	}
}

func TestChainAgainstASlice(t *testing.T) {
	chaintest.TestModel(t, bubble, inMemory)
}
