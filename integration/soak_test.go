//go:build integration

package integration_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/head"
	"ropewalk/internal/soak"
)

// The soak is short unless its flags say otherwise; "make soak" sets them.
var (
	soakFull     = flag.Bool("soak", false, "soak at length: a thousand histories over memory, fifty and more over each other storage, two thousand kills, an hour's load")
	soakDuration = flag.Duration("soak.duration", 0, "how long each storage is soaked at least")
	soakSeed     = flag.Uint64("soak.seed", 1, "the first history's seed, and 1 more for each that follows; 0 draws one")
	soakStores   = flag.String("soak.stores", "", "the storages, separated by commas: memory, sqlite, dynamo, s3, azure; all by default")
	soakReport   = flag.String("soak.report", "", "a file to which the tables of figures are appended")
)

// soaked is a storage under the soak.
type soaked struct {
	name string // of soakStores
	// short and full are how many histories there are at least.
	short, full int
	// atOnce is how many histories share a place at the same time.
	atOnce int
	// appends is how many appends an hour's load has, or a part of it.
	appends int
	soak    func(t *testing.T, use func(*testing.T, soak.Place))
}

// busyHour is what a busy user appends within an hour: a hundred a second.
const busyHour = 100 * 3600

func storagesUnderSoak() (all []soaked) {
	chosen := strings.Split(*soakStores, ",")
	for _, s := range []soaked{
		{"memory", 50, 1000, 10, busyHour, soakMemory},
		{"sqlite", 10, 200, 10, busyHour, soakSQLite},
		{"dynamo", 6, 50, 3, 2000, soakCloud("S3 and DynamoDB")},
		{"s3", 6, 50, 3, 2000, soakCloud("another S3")},
		{"azure", 6, 50, 3, 2000, soakCloud("Azure")},
	} {
		if *soakStores == "" || slices.Contains(chosen, s.name) {
			all = append(all, s)
		}
	}
	return all
}

// soakMemory lets time be virtual.
func soakMemory(t *testing.T, use func(*testing.T, soak.Place)) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		use(t, soak.Place{Changesets: db, Heads: db, Unit: time.Second})
	})
}

// soakSQLite does so, too: only the file's own time is real.
func soakSQLite(t *testing.T, use func(*testing.T, soak.Place)) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlitestore.Open(path, nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		use(t, soak.Place{Changesets: db, Heads: db, Unit: time.Second})
	})
}

// soakCloud opens a place in a cloud for each use.
func soakCloud(name string) func(*testing.T, func(*testing.T, soak.Place)) {
	c := clouds[slices.IndexFunc(clouds, func(c cloud) bool { return c.name == name })]
	return func(t *testing.T, use func(*testing.T, soak.Place)) {
		changesets, heads := c.open(t).stores(t, direct)
		use(t, soak.Place{Changesets: changesets.(soak.Changesets), Heads: heads, Unit: unitOf(t, heads)})
	}
}

// unitOf returns a unit of waiting that fits a storage on this machine. If most requests
// took longer than their callers wait, nearly all outcomes would be unknown: then there
// is nothing to judge.
func unitOf(t *testing.T, heads head.Store) time.Duration {
	began := time.Now()
	for range 10 {
		_, err := heads.Load(t.Context(), "not-there")
		require.NoError(t, err)
	}
	return min(max(unit, 2*time.Since(began)), 5*unit)
}

// TestSoakHistories soaks every storage, and requires every history to be
// linearizable, every chain to be proved, and nothing to be left but orphans.
func TestSoakHistories(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d", seed)
	var figures []*soak.Figures
	var clouds sync.WaitGroup
	for _, s := range storagesUnderSoak() {
		f := &soak.Figures{Place: s.name, Seed: seed}
		figures = append(figures, f)
		run := func() { t.Run(s.name, func(t *testing.T) { s.histories(t, f) }) }
		if s.name == "memory" || s.name == "sqlite" {
			run() // takes all processors
		} else {
			clouds.Go(run) // mostly waits
		}
	}
	clouds.Wait()
	report(t, "Histories", soak.Table(figures))
}

// histories lives and checks histories until there are enough of them and
// enough time has passed.
func (s soaked) histories(t *testing.T, figures *soak.Figures) {
	began, least := time.Now(), s.short
	if *soakFull {
		least = s.full
	}
	for figures.Histories < least || time.Since(began) < *soakDuration {
		var seeds []uint64
		for range min(s.atOnce, max(least-figures.Histories, 1)) {
			seeds = append(seeds, figures.Seed+uint64(figures.Histories+len(seeds)))
		}
		var histories []*soak.History
		s.soak(t, func(t *testing.T, place soak.Place) { histories = soak.Run(t.Context(), place, seeds) })
		soak.Check(histories, time.Minute)
		figures.Add(histories...)
		for _, h := range histories {
			if len(h.Violations) > 0 || h.Inconclusive {
				t.Errorf("inconclusive: %v, %s", h.Inconclusive, h)
			}
		}
	}
	figures.Took = time.Since(began)
}

// TestSoakLoad lets writers work at full speed: memory, goroutines and
// connections do not grow, and nothing is lost.
func TestSoakLoad(t *testing.T) {
	var all []*soak.LoadFigures
	for _, s := range storagesUnderSoak() {
		t.Run(s.name, func(t *testing.T) {
			place := placeUnderLoad(t, s)
			load := soak.Load{Appends: s.appends, Writers: 16, Samples: 40, ThrottleOneIn: 50}
			if !*soakFull {
				load.Appends = min(1600, s.appends/4)
			}
			load.Length = min(500, load.Appends/load.Writers/10) // ten lives a writer, or more
			figures, err := load.Run(t.Context(), place)
			require.NoError(t, err)
			require.Equal(t, load.Appends/load.Writers*load.Writers, figures.Appended)
			require.Equal(t, figures.Appended, figures.Read)
			growth := figures.Growth()
			require.Less(t, growth.Heap, 16<<20)
			require.Less(t, growth.Goroutines, 200)
			require.Less(t, growth.Files, 50)
			figures.Place = s.name
			all = append(all, figures)
		})
	}
	report(t, "Load", soak.LoadTable(all))
}

// placeUnderLoad opens a storage in real time.
func placeUnderLoad(t *testing.T, s soaked) soak.Place {
	switch s.name {
	case "memory":
		db := memstore.New()
		return soak.Place{Changesets: db, Heads: db}
	case "sqlite":
		db, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return soak.Place{Changesets: db, Heads: db}
	}
	var place soak.Place
	s.soak(t, func(_ *testing.T, p soak.Place) { place = p })
	return place
}

// soakPreface begins the page of all figures.
const soakPreface = `# Figures of the soak

This page is written by ` + "`make soak REPORT=FILE`" + `. [docs/reliability.md](../../docs/reliability.md) says what they count.
`

// report prints a table of figures, and appends it to the page of all figures.
func report(t *testing.T, title, table string) {
	t.Helper()
	t.Log("\n" + table)
	if *soakReport == "" {
		return
	}
	file, err := os.OpenFile(*soakReport, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	info, err := file.Stat()
	require.NoError(t, err)
	text := fmt.Sprintf("\n## %s\n\n%s", title, table)
	if info.Size() == 0 {
		text = soakPreface + text
	}
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}
