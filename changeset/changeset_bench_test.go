package changeset

import (
	"fmt"
	"testing"
	"time"
)

// benchHeader is a header of a version whose index is about half full.
func benchHeader(b *testing.B) Header {
	b.Helper()
	var ix Index
	for range 1000 {
		ix = ix.Push(NewID())
	}
	h := Header{
		Ref: Ref{AggregateID: "order-4711", Version: ix.Version(), ID: NewID()}, Parent: ix.Parent(),
		AfterRevision: 1000, Ancestors: ix, ContentType: DefaultContentType, BodySize: 1024,
		RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), CommandID: "place-1",
		Metadata: map[string]string{"correlation-id": "c-1"},
	}
	h.Digest = h.ComputeDigest(Digest{1})
	return h
}

func BenchmarkDigest(b *testing.B) {
	h := benchHeader(b)
	b.ReportAllocs()
	for b.Loop() {
		h.ComputeDigest(Digest{1})
	}
}

func BenchmarkEncode(b *testing.B) {
	h := benchHeader(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(h, Hyphenated); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	h := benchHeader(b)
	metadata, err := Encode(h, Hyphenated)
	if err != nil {
		b.Fatal(err)
	}
	stored := Stored{Ref: h.Ref, Metadata: metadata, ContentType: h.ContentType, Size: h.BodySize}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(stored, Hyphenated); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndexPush(b *testing.B) {
	for _, version := range []int{1, 15, 1000, 4095} {
		b.Run(fmt.Sprint(version), func(b *testing.B) {
			var ix Index
			for range version {
				ix = ix.Push(NewID())
			}
			id := NewID()
			b.ReportAllocs()
			for b.Loop() {
				ix.Push(id)
			}
		})
	}
}
