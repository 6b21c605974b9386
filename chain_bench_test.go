package ropewalk_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			draft := changeset.Draft{Content: make([]byte, size)}
			var chain *ropewalk.Chain
			var h head.Head
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%1000 == 0 { // so that the memory does not grow for ever
					db := memstore.New()
					chain, h = ropewalk.New(db, db, nil).Chain("order-1"), head.Head{}
				}
				var err error
				if h, err = chain.Append(b.Context(), h, draft); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead1000(b *testing.B) {
	const n = 1000
	memory := memstore.New()
	file, err := sqlitestore.Open(filepath.Join(b.TempDir(), "ropewalk.db"), nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, file.Close()) })
	for name, db := range map[string]interface {
		changeset.Store
		head.Store
	}{"memory": memory, "SQLite": file} {
		chain := ropewalk.New(db, db, nil).Chain("order-1")
		var h head.Head
		for range n / 250 {
			drafts := make([]changeset.Draft, 250)
			for i := range drafts {
				drafts[i].Content = make([]byte, 1<<10)
			}
			h, err = chain.Append(b.Context(), h, drafts...)
			require.NoError(b, err)
		}
		r := chain.ReaderAt(h)
		for order, read := range map[string]func(context.Context) iter.Seq2[changeset.Changeset, error]{"forward": r.All, "backward": r.Backward} {
			b.Run(name+" "+order, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					count := 0
					for _, err := range read(b.Context()) {
						if err != nil {
							b.Fatal(err)
						}
						count++
					}
					if count != n {
						b.Fatal(count)
					}
				}
			})
		}
	}
}
