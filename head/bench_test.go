package head_test

import (
	"testing"

	"ropewalk/head"
)

func BenchmarkPackedEncodeJSON(b *testing.B) {
	h := longTip(b, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := head.EncodeJSON(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPackedDecodeJSON(b *testing.B) {
	h := longTip(b, 64<<10)
	record := []byte(encode(b, h))
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		if _, err := head.DecodeJSON("order-4711", "o", record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProveTip(b *testing.B) {
	h := longTip(b, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
