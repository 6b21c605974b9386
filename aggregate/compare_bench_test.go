package aggregate

import (
	"testing"
	"time"

	"ropewalk/changeset"
)

type benched struct {
	Item     string
	Quantity int
	At       time.Time
	Tags     []string
	Prices   map[string]float64
}

// Comparing what comes back costs a save a small part of what encoding and
// decoding its events take.
func BenchmarkSavedEvent(b *testing.B) {
	event := benched{"rope", 7, time.Unix(1, 0).UTC(), []string{"hemp", "long"}, map[string]float64{"eur": 1.5, "usd": 1.75}}
	p, err := Type[int, benched]{
		Name: "benched", Events: Events[benched]{"benched": {}}, Evolve: func(n int, _ benched) int { return n },
	}.plan()
	if err != nil {
		b.Fatal(err)
	}
	record := Recorded[benched]{Event: event, ID: changeset.NewID().String(), Time: time.Unix(1, 0)}
	b.Run("encode, decode and compare", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := p.encode([]Recorded[benched]{record}); err != nil {
				b.Fatal(err)
			}
		}
	})
	_, read, err := p.encode([]Recorded[benched]{record})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("compare", func(b *testing.B) {
		for b.Loop() {
			if p.lost(event, read[0].Event) != "" {
				b.Fatal("it differs")
			}
		}
	})
}
