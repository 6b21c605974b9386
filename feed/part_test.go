package feed

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestMemoryForEachAggregate measures at many sizes: the memory must not depend on
// when a part has grown. BenchmarkMemoryOfProgress measures ten million aggregates.
func TestMemoryForEachAggregate(t *testing.T) {
	grow(1_000_000, 100_000, func(n int, bytes float64) {
		require.LessOrEqual(t, bytes, 70.0, "bytes for each of %d aggregates", n)
	})
}

func BenchmarkMemoryOfProgress(b *testing.B) {
	for b.Loop() {
		most := 0.0
		grow(10_000_000, 500_000, func(n int, bytes float64) {
			most = max(most, bytes)
			b.ReportMetric(bytes, "bytes/aggregate")
		})
		b.ReportMetric(most, "most-bytes/aggregate")
	}
}

// grow feeds n aggregates, and reports the memory for each after every step.
func grow(n, step int, report func(n int, bytes float64)) {
	before := heap()
	p := &progress{}
	for i := 1; i <= n; i++ {
		p.set(keyOf(fmt.Sprintf("order-%d", i)), fed{uint64(i), 1, 2})
		if i%step == 0 {
			report(i, float64(heap()-before)/float64(i))
		}
	}
	runtime.KeepAlive(p)
}

// heap returns how many bytes of memory are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A part is a map, whatever is set in which order, and its bucket brings it back.
func TestPartIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p part
		want := map[key]fed{}
		for i := range rapid.IntRange(0, 400).Draw(t, "sets") {
			k := key{7, byte(rapid.IntRange(0, 255).Draw(t, "key"))}
			want[k] = fed{uint64(i), uint32(i), uint32(i) * 3}
			p.set(k, want[k])
		}
		requirePart(t, want, &p)
		content := p.encode()
		requirePart(t, want, &p)
		require.Len(t, content, len(want)*entrySize)
		again, ok := decodePart(content, 7)
		require.True(t, ok)
		requirePart(t, want, &again)
		for k := range maps.Keys(want) {
			again.set(k, fed{})
		}
		require.Equal(t, content, p.encode(), "decoding shares nothing")
		for k := range maps.Keys(want) {
			p.set(k, fed{version: 1000})
		}
		again, _ = decodePart(content, 7)
		requirePart(t, want, &again) // encoding shares nothing
	})
}

func requirePart(t *rapid.T, want map[key]fed, p *part) {
	require.Equal(t, len(want), p.len())
	for i := range 256 {
		k := key{7, byte(i)}
		got, known := p.get(k)
		_, wanted := want[k]
		require.Equal(t, wanted, known)
		require.Equal(t, want[k], got)
	}
}

func TestBucketsThatAreNotUsed(t *testing.T) {
	one := appendEntry(nil, key{7, 1}, fed{1, 2, 3})
	two := appendEntry(nil, key{7, 2}, fed{1, 2, 3})
	for name, content := range map[string][]byte{
		"cut":                  one[:len(one)-1],
		"of another byte":      appendEntry(nil, key{8, 1}, fed{}),
		"not in order":         append(bytes.Clone(two), one...),
		"the same entry twice": append(bytes.Clone(one), one...),
	} {
		_, ok := decodePart(content, 7)
		require.False(t, ok, name)
	}
	_, ok := decodePart(append(one, two...), 7)
	require.True(t, ok)
}
