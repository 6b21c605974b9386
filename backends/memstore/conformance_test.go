package memstore

import (
	"bytes"
	"testing"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
)

// harness reaches one store. Each handle is the store itself.
func harness() backendtest.Harness {
	s := New()
	return backendtest.Harness{
		Changesets: func(testing.TB) changeset.Store { return s },
		Heads:      func(testing.TB) head.Store { return s },
		Listed:     1200,
		InjectUnknownField: func(_ testing.TB, aggregateID string) {
			s.Tamper(func(all *Contents) {
				record := all.Heads[head.ObjectName(aggregateID)]
				all.Heads[head.ObjectName(aggregateID)] = append(bytes.TrimSuffix(record, []byte("}")), `,"zone":"north"}`...)
			})
		},
		CorruptHead: func(_ testing.TB, aggregateID string) func() {
			flip := func(all *Contents) { all.Heads[head.ObjectName(aggregateID)][0] ^= 1 }
			s.Tamper(flip)
			return func() { s.Tamper(flip) }
		},
		CorruptObject: func(_ testing.TB, ref changeset.Ref) {
			s.Tamper(func(all *Contents) { delete(all.Objects[ref.ObjectName()].Metadata, "digest") })
		},
		PutForeign: func(_ testing.TB, name string) {
			s.Tamper(func(all *Contents) { all.Objects[name] = &Object{} })
		},
	}
}

func TestConformance(t *testing.T) {
	t.Run("changesets", func(t *testing.T) { backendtest.TestChangesets(t, harness()) })
	t.Run("heads", func(t *testing.T) { backendtest.TestHeads(t, harness()) })
	t.Run("combined", func(t *testing.T) { backendtest.TestCombined(t, harness()) })
	t.Run("transactor", func(t *testing.T) { backendtest.TestTransactor(t, harness()) })
	t.Run("log", func(t *testing.T) { backendtest.TestLog(t, harness()) })
}
