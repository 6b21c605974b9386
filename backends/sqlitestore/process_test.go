package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
)

const (
	raceProcesses = 4
	raceWins      = 15 // of each process
	raceRounds    = raceProcesses * raceWins
)

// TestProcessesRace lets processes swap the same head: each revision has
// exactly one winner.
func TestProcessesRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	s := openAt(t, path, nil)
	wins := race(t, path, raceProcesses)

	var won []int
	for _, revisions := range wins {
		require.Len(t, revisions, raceWins)
		won = append(won, revisions...)
	}
	slices.Sort(won)
	require.Len(t, won, raceRounds)
	for i, revision := range won {
		require.Equal(t, i+1, revision)
	}
	h, err := s.Load(t.Context(), "contested")
	require.NoError(t, err)
	require.Equal(t, uint64(raceRounds), h.Revision)
	requireChain(t, s, h, head.Head{})
	objects := 0
	for _, err := range s.Objects(t.Context(), "contested") {
		require.NoError(t, err)
		objects++
	}
	require.Equal(t, raceRounds, objects, "a loser's changeset is there")
	requireLogOf(t, s)
	require.Len(t, entries(t, s), raceRounds)
}

// race runs n swappers against each other and returns the revisions that each has won.
func race(t *testing.T, path string, n int) [][]int {
	processes := make([]*process, n)
	for i := range processes {
		processes[i] = start(t, "swapper", path)
		require.True(t, processes[i].stdout.Scan(), "not ready")
	}
	for _, p := range processes {
		require.NoError(t, p.stdin.Close())
	}
	wins := make([][]int, n)
	var all errgroup.Group
	for i, p := range processes {
		all.Go(func() error {
			for _, line := range p.lines() {
				revision, err := strconv.Atoi(line)
				if err != nil {
					return err
				}
				wins[i] = append(wins[i], revision)
			}
			return p.Wait()
		})
	}
	require.NoError(t, all.Wait())
	return wins
}

// swapInRounds appends to one chain with all others until it has won as often
// as it should, and prints each revision that it wins.
func swapInRounds(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	awaitCue()
	for wins := 0; wins < raceWins; {
		h, err := s.Load(context.Background(), "contested")
		if err != nil {
			return err
		}
		next, err := tryAppend(s, h, "contested", "mine")
		if conflict := new(head.ConflictError); errors.As(err, &conflict) {
			time.Sleep(rand.N(time.Millisecond)) // lets the others win too
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println(next.Revision)
		wins++
		time.Sleep(rand.N(2 * time.Millisecond))
	}
	return s.Close()
}

// TestProcessesProvision lets processes open the same new file at once.
func TestProcessesProvision(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	processes := make([]*process, 6)
	for i := range processes {
		processes[i] = start(t, "provisioner", path)
		require.True(t, processes[i].stdout.Scan(), "not ready")
	}
	for _, p := range processes {
		require.NoError(t, p.stdin.Close())
	}
	for _, p := range processes {
		require.Empty(t, p.lines())
		require.NoError(t, p.Wait())
	}
	findings, err := CheckFile(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, findings)
	s := openAt(t, path, &Options{MustExist: true})
	heads := 0
	for _, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		heads++
	}
	require.Equal(t, len(processes), heads)
}

// openOnCue opens the store, provisions it again and appends to a chain of its own.
func openOnCue(path string) error {
	fmt.Println("ready")
	awaitCue()
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	if err := s.Provision(context.Background()); err != nil {
		return err
	}
	_, err = tryAppend(s, head.Head{}, changeset.NewID().String(), "mine")
	return errors.Join(err, s.Close())
}

// requireChain walks from a head back to one that was walked before, and
// demands that every changeset exists and follows from its parent.
func requireChain(t testing.TB, s *Store, from, to head.Head) {
	t.Helper()
	newest, err := s.Get(t.Context(), from.Ref, nil)
	require.NoError(t, err)
	require.NoError(t, from.VerifyNewest(newest.Header))
	for c := newest; ; {
		require.NoError(t, c.VerifyBody())
		if c.Version == 0 {
			require.NoError(t, c.Verify(changeset.Digest{}))
			require.False(t, to.Exists(), "the chain has lost %s", to.Ref)
			return
		}
		parent, err := s.Get(t.Context(), changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}, nil)
		require.NoError(t, err)
		require.NoError(t, c.Verify(parent.Digest))
		require.NoError(t, c.VerifyLink(parent.Header))
		if to.Exists() && parent.Version == to.Version {
			require.Equal(t, to.Ref, parent.Ref)
			return
		}
		c = parent
	}
}
