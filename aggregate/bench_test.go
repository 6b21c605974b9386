package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
)

// BenchmarkSave saves one event after another. No aggregate has more than 100.
func BenchmarkSave(b *testing.B) {
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, nil)
	var order aggregate.Loaded[Order]
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%100 == 0 {
			order = aggregate.Loaded[Order]{ID: fmt.Sprintf("order-%d", n)}
		}
		var err error
		order, err = repo.Save(b.Context(), order, []Event{LineAdded{Item: "rope", Quantity: 2}})
		require.NoError(b, err)
	}
}

// BenchmarkLoad loads an aggregate of 100 events, each saved alone.
func BenchmarkLoad(b *testing.B) {
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, nil)
	order := aggregate.Loaded[Order]{ID: "order"}
	for range 100 {
		var err error
		order, err = repo.Save(b.Context(), order, []Event{LineAdded{Item: "rope", Quantity: 2}})
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := repo.Load(b.Context(), "order")
		require.NoError(b, err)
	}
}
