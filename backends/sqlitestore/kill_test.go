package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/head"
)

const (
	kills        = 100
	killedChains = 3
)

// TestKill kills a process that appends, again and again at random moments,
// and demands that every append that it acknowledged is stored.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	verified := map[string]head.Head{}
	acknowledged := 0
	times := kills
	if testing.Short() {
		times /= 5
	}
	for range times {
		lines := killed(t, path)
		acknowledged += len(lines)
		func() {
			s, err := Open(path, &Options{MustExist: true})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			requireAcknowledged(t, s, lines)
			for h, err := range s.List(t.Context(), "") {
				require.NoError(t, err)
				if h != verified[h.AggregateID] {
					requireChain(t, s, h, verified[h.AggregateID])
				}
				verified[h.AggregateID] = h
			}
			require.LessOrEqual(t, len(verified), killedChains)
		}()
	}
	require.Greater(t, acknowledged, times, "too few appends to show anything")
	requireSoundAfterKills(t, path, verified)
}

// killed runs an appender, kills it at a random moment after its first
// acknowledged append, and returns all that it acknowledged.
func killed(t *testing.T, path string) []string {
	p := start(t, "appender", path)
	require.True(t, p.stdout.Scan(), "it has appended nothing")
	lines := []string{p.stdout.Text()}
	timer := time.AfterFunc(rand.N(25*time.Millisecond), func() { _ = p.Process.Kill() })
	defer timer.Stop()
	lines = append(lines, p.lines()...)
	require.ErrorContains(t, p.Wait(), "killed", "it ended by itself")
	return lines
}

// requireAcknowledged demands of every line, "chain version", that the chain
// has come at least so far. The last line may be torn.
func requireAcknowledged(t *testing.T, s *Store, lines []string) {
	t.Helper()
	for _, line := range lines {
		var chain, end string
		var version uint64
		if n, _ := fmt.Sscanf(line, "%s %d %s", &chain, &version, &end); n < 3 {
			continue
		}
		h, err := s.Load(t.Context(), chain)
		require.NoError(t, err)
		require.True(t, h.Exists())
		require.GreaterOrEqual(t, h.Version, version, "an acknowledged append to %s is lost", chain)
	}
}

// requireSoundAfterKills walks all chains to their beginnings.
func requireSoundAfterKills(t *testing.T, path string, heads map[string]head.Head) {
	t.Helper()
	s := openAt(t, path, nil)
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	requireLogOf(t, s)
	for id, h := range heads {
		requireChain(t, s, h, head.Head{})
		objects := uint64(0)
		for _, err := range s.Objects(t.Context(), id) {
			require.NoError(t, err)
			objects++
		}
		require.Equal(t, h.Version+1, objects, "half a commit has left objects")
	}
}

// appendForever appends one to three changesets at a time to several chains at
// once, and prints each version once its append is acknowledged.
func appendForever(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for i := range killedChains {
		all.Go(func() error { return appendTogether(s, fmt.Sprintf("chain-%d", i)) })
	}
	return all.Wait()
}

func appendTogether(s *Store, id string) error {
	h, err := s.Load(context.Background(), id)
	for err == nil {
		contents := make([]string, 1+rand.IntN(3))
		for i := range contents {
			contents[i] = strings.Repeat("x", rand.IntN(6000))
		}
		if h, err = tryAppend(s, h, id, contents...); err == nil {
			fmt.Printf("%s %d .\n", id, h.Version)
		}
	}
	return err
}
