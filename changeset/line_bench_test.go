package changeset

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// benchPack is a pack of 100 changesets with 1 KiB of JSON each.
func benchPack(b *testing.B) Changeset {
	b.Helper()
	content := []byte("{")
	for i := 0; len(content) < 1000; i++ {
		content = fmt.Appendf(content, `"field-%d":"value %d","amount-%d":%d,`, i, i*7, i, i*12345)
	}
	content = append(bytes.TrimSuffix(content, []byte(",")), '}')
	base := Header{Ref: Ref{AggregateID: "order/4711", Version: 99, ID: NewID()}, Digest: Digest{1}}
	var text []byte
	parent := base
	for i := range uint64(100) {
		c, err := Seal(Changeset{Content: content, Header: Header{
			Ref:           Ref{AggregateID: base.AggregateID, Version: 100 + i, ID: NewID()},
			AfterRevision: 100 + i, ContentType: "application/json", CommandID: "place-1",
			RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Metadata: map[string]string{"correlation-id": "c-1"},
		}}, parent)
		if err != nil {
			b.Fatal(err)
		}
		text, parent = AppendLine(text, c), c.Header
	}
	return NewPack(parent.ID, 200, ObjectIndexAt(100), base, parent, text)
}

// BenchmarkUnpack decodes and proves one changeset of a pack in each iteration.
func BenchmarkUnpack(b *testing.B) {
	pack := benchPack(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(pack.Body)) / 100)
	for range b.N / 100 {
		if _, err := Unpack(pack, pack.Body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendLine writes one changeset in each iteration.
func BenchmarkAppendLine(b *testing.B) {
	pack := benchPack(b)
	all, err := Unpack(pack, pack.Body)
	if err != nil {
		b.Fatal(err)
	}
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = AppendLine(text[:0], all[7])
	}
}
