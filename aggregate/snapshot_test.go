package aggregate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// The place of a snapshot is for good.
func TestPlaceOfSnapshots(t *testing.T) {
	db := memstore.New()
	grow(t, over(db, logs(4)), aggregate.Loaded[Log]{ID: "log-1"}, 5)
	require.Equal(t, []changeset.Ref{{
		AggregateID: "$snapshots-uCYM9yXV3rb4Mt0JgVTX9yECKLq_YkPnsjJJmIdqMeo",
		ID:          must(changeset.ParseID("636eed0a-c2e0-8263-aad1-3336e11c461a")),
	}}, snapshots(t, db, "log-1"))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// snapshotAt returns the place of the snapshot at a version of log-1: the only one
// that a repository writes that looks at multiples of it.
func snapshotAt(t *testing.T, version int) changeset.Ref {
	t.Helper()
	db := memstore.New()
	grow(t, over(db, logs(version+1)), aggregate.Loaded[Log]{ID: "log-1"}, version+1)
	refs := snapshots(t, db, "log-1")
	require.Len(t, refs, 1)
	return refs[0]
}

// The content of a snapshot is for good, too, or its format gets a new number.
func TestContentOfSnapshots(t *testing.T) {
	db := memstore.New()
	l := grow(t, over(db, logs(4)), aggregate.Loaded[Log]{ID: "log-1"}, 4)
	c, err := db.Get(t.Context(), snapshotAt(t, 3), nil)
	require.NoError(t, err)
	require.NoError(t, c.Verify(changeset.Digest{}))
	require.Equal(t, "application/json", c.ContentType)
	require.Equal(t, map[string]string{"snapshot-at": "3"}, c.Metadata)
	record, err := head.EncodeJSON(l.Head)
	require.NoError(t, err)
	require.Equal(t, `{"format":1,"schema":"1","head":`+string(record)+
		`,"commands":["command-0","command-1","command-2","command-3"],"state":{"Entries":[0,1,2,3]}}`, string(c.Body))
}

// A snapshot that is missing is written after the next save; one that is
// there, though damaged, stands.
func TestMissingSnapshotsAreWrittenLater(t *testing.T) {
	db := memstore.New()
	repo := over(db, logs(4))
	grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 10)
	before, err := db.Get(t.Context(), snapshotAt(t, 7), nil)
	require.NoError(t, err)
	require.NoError(t, db.Delete(t.Context(), before.Ref))
	l, err := repo.Load(t.Context(), "log-1")
	requireLog(t, 10, l, err)
	grow(t, repo, l, 11)
	after, err := db.Get(t.Context(), before.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, string(before.Body), string(after.Body))
	require.Equal(t, before.Header, after.Header, "every writer makes the same one")
}

// History that was restored to an earlier moment and went another way since
// has snapshots of the way it did not go.
func TestSnapshotsOfALostHistory(t *testing.T) {
	db := memstore.New()
	repo := over(db, logs(4))
	l := grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 6)
	restored := db.Clone()
	grow(t, repo, l, 13) // snapshots at 7 and 11 …
	for _, version := range []int{7, 11} {
		c, err := db.Get(t.Context(), snapshotAt(t, version), nil)
		require.NoError(t, err)
		require.NoError(t, restored.Put(t.Context(), c)) // … survive
	}
	repo = over(restored, logs(4))
	l, err := repo.Load(t.Context(), "log-1")
	requireLog(t, 6, l, err)
	for n := range 9 {
		l, err = repo.Save(t.Context(), l, []Entry{{100 + n}})
		require.NoError(t, err)
		loaded, err := repo.Load(t.Context(), "log-1")
		require.NoError(t, err)
		require.Equal(t, l.State, loaded.State)
	}
	require.NoError(t, repo.Wait(t.Context()))
	require.NotZero(t, repo.Stats().Rejected)
}

func TestSchemasStandSideBySide(t *testing.T) {
	db := memstore.New()
	first := over(db, logs(4))
	l := grow(t, first, aggregate.Loaded[Log]{ID: "log-1"}, 4)
	typ := logs(4)
	typ.Snapshots.Schema = "2"
	second := over(db, typ)
	loaded, err := second.Load(t.Context(), "log-1")
	requireLog(t, 4, loaded, err)
	require.Equal(t, aggregate.Stats{Missing: 1}, second.Stats())
	grow(t, second, l, 8)
	require.NoError(t, second.Snapshot(t.Context(), "log-1"))
	require.Len(t, snapshots(t, db, "log-1"), 2)
	loaded, err = first.Load(t.Context(), "log-1")
	requireLog(t, 8, loaded, err)
}

// Requests for snapshots that fail, hang or are late cost a load its snapshot at most.
func TestSnapshotRequestsThatFail(t *testing.T) {
	for _, kind := range []faults.Kind{faults.Dropped, faults.Lost, faults.Refused} {
		t.Run(kind.String(), func(t *testing.T) {
			s := aggregatetest.NewStorage(nil)
			grow(t, aggregate.New(s.Direct, logs(4), nil), aggregate.Loaded[Log]{ID: "log-1"}, 8)
			repo := aggregate.New(s.Store, logs(4), nil)
			s.Script.Next(faults.Get, faults.Fault{Kind: kind}) // at 8 the snapshot is read alone
			l, err := repo.Load(t.Context(), "log-1")
			requireLog(t, 8, l, err)
			require.Equal(t, aggregate.Stats{Used: 1, Rejected: 1}, repo.Stats())
		})
	}
}

func TestWritesOfSnapshotsNeverFailOrBlockASave(t *testing.T) {
	for name, fault := range map[string]faults.Fault{
		"refused": {Kind: faults.Refused},
		"dropped": {Kind: faults.Dropped},
		"hanging": {Kind: faults.HangBefore},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := aggregatetest.NewStorage(nil)
				repo := aggregate.New(s.Store, logs(4), nil)
				l := grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 3)
				s.Script.On(faults.Put, 5, fault) // the fourth changeset is the fourth put
				start := time.Now()
				l, err := repo.Save(t.Context(), l, []Entry{{3}})
				require.NoError(t, err)
				require.Zero(t, time.Since(start))
				require.NoError(t, repo.Wait(t.Context()))
				require.Equal(t, aggregate.Stats{Failed: 1}, repo.Stats())
				l, err = repo.Load(t.Context(), l.ID)
				requireLog(t, 4, l, err)
			})
		})
	}
}

// A request's context ends with the request; what it has begun does not.
func TestWritesOfSnapshotsOutliveTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := aggregatetest.NewStorage(nil)
		repo := aggregate.New(s.Store, logs(1), nil)
		s.Script.On(faults.Put, 2, faults.Fault{DelayBefore: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		_, err := repo.Create(ctx, "log-1", []Entry{{0}})
		require.NoError(t, err)
		cancel()
		require.NoError(t, repo.Wait(t.Context()))
		require.Equal(t, aggregate.Stats{Written: 1}, repo.Stats())
	})
}

// More snapshots than may be written at a time are left out, and written when
// they are found missing.
func TestSnapshotsAreLeftOutWhereTooManyAreBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := aggregatetest.NewStorage(nil)
		repo := aggregate.New(s.Store, logs(1), nil)
		s.Script.Draw(func(op faults.Op, call int) faults.Fault {
			if op == faults.Put && call%2 == 0 && call <= 40 {
				return faults.Fault{DelayBefore: 10 * time.Second}
			}
			return faults.Fault{}
		})
		l := aggregate.Loaded[Log]{ID: "log-1"}
		for i := range 16 {
			var err error
			l, err = repo.Save(t.Context(), l, []Entry{{i}})
			require.NoError(t, err)
			synctest.Wait() // so that puts come in turn
		}
		l, err := repo.Save(t.Context(), l, []Entry{{16}})
		require.NoError(t, err)
		require.Equal(t, uint64(1), repo.Stats().Failed)
		require.ErrorIs(t, repo.Wait(canceled(t)), context.Canceled)
		require.NoError(t, repo.Wait(t.Context()))
		require.Equal(t, uint64(16), repo.Stats().Written)
		l, err = repo.Load(t.Context(), l.ID)
		require.NoError(t, err)
		_, err = repo.Save(t.Context(), l, []Entry{{17}})
		require.NoError(t, err)
		require.NoError(t, repo.Wait(t.Context()))
	})
}

func TestSnapshotsOnDemand(t *testing.T) {
	db := memstore.New()
	typ := logs(4)
	typ.Snapshots.Manual = true
	repo := over(db, typ)
	require.ErrorIs(t, repo.Snapshot(t.Context(), "log-1"), ropewalk.ErrNotFound)
	l := grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 3)
	require.NoError(t, repo.Snapshot(t.Context(), "log-1"), "none is due")
	l = grow(t, repo, l, 10)
	require.Empty(t, snapshots(t, db, "log-1"))
	for range 2 {
		require.NoError(t, repo.Snapshot(t.Context(), "log-1"))
		require.Equal(t, []changeset.Ref{snapshotAt(t, 7)}, snapshots(t, db, "log-1"))
	}
	loaded, err := repo.Load(t.Context(), l.ID)
	requireLog(t, 10, loaded, err)
	require.Equal(t, aggregate.Stats{Used: 2, Written: 1, Missing: repo.Stats().Missing}, repo.Stats())
	require.ErrorContains(t, over(db, logs(0)).Snapshot(t.Context(), "log-1"), "has none")
}

// Several changesets of one append have snapshots within it: the rule is the
// version's alone.
func TestSnapshotsWithinAnAppend(t *testing.T) {
	db := memstore.New()
	line := `{"type":"entry","data":{"N":%}}`
	var contents []string
	for _, n := range []string{"0", "1", "2", "3", "4", "5"} {
		contents = append(contents, strings.Replace(line, "%", n, 1))
	}
	raw(t, db, "log-1", contents...)
	repo := over(db, logs(4))
	require.NoError(t, repo.Snapshot(t.Context(), "log-1"))
	l, err := repo.Load(t.Context(), "log-1")
	requireLog(t, 6, l, err)
	require.Equal(t, aggregate.Stats{Missing: 1, Written: 1, Used: 1}, repo.Stats())
	l, err = repo.LoadAt(t.Context(), "log-1", 3)
	requireLog(t, 4, l, err)
	grow(t, repo, must(repo.Load(t.Context(), "log-1")), 9)
}

func TestStatesInACodecOfTheirOwn(t *testing.T) {
	db := memstore.New()
	typ := logs(2)
	typ.Snapshots.Encode = func(l Log) ([]byte, error) {
		if len(l.Entries) == 4 {
			return nil, errors.New("no room")
		}
		text := make([]byte, len(l.Entries))
		for i, entry := range l.Entries {
			text[i] = byte(0xf0 + entry)
		}
		return text, nil
	}
	typ.Snapshots.Decode = func(text []byte) (l Log, err error) {
		for _, b := range text {
			l.Entries = append(l.Entries, int(b-0xf0))
		}
		return l, nil
	}
	repo := over(db, typ)
	grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 3)
	l, err := repo.Load(t.Context(), "log-1")
	requireLog(t, 3, l, err)
	grow(t, repo, l, 4)
	require.Equal(t, aggregate.Stats{Used: 1, Written: 1, Failed: 1}, repo.Stats())
	l, err = repo.Load(t.Context(), "log-1")
	requireLog(t, 4, l, err)
}

// A function that changes the old state's memory makes wrong states where
// those are used again; what was encoded before stands.
func TestSnapshotsAreOfTheirMoment(t *testing.T) {
	db := memstore.New()
	type counts struct{ Of map[string]int }
	typ := aggregate.Type[counts, Entry]{
		Name: "counts", Events: aggregate.Events[Entry]{"entry": Entry{}},
		Evolve: func(c counts, _ Entry) counts {
			if c.Of == nil {
				c.Of = map[string]int{}
			}
			c.Of["n"]++ // impure
			return c
		},
		Snapshots: aggregate.Snapshots[counts]{Every: 4, Manual: true},
	}
	repo := aggregate.New(ropewalk.New(db, db, nil), typ, nil)
	for range 7 {
		_, err := repo.Upsert(t.Context(), "c", func(counts) ([]Entry, error) { return []Entry{{}}, nil })
		require.NoError(t, err)
	}
	require.NoError(t, repo.Snapshot(t.Context(), "c"))
	l, err := repo.Load(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, 7, l.State.Of["n"])
	require.Equal(t, uint64(1), repo.Stats().Used)
}
