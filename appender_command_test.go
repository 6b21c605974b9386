package ropewalk_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// batchOf stores a batch of calls with these commands, one for each changeset,
// after the head, without swapping the head.
func batchOf(t *testing.T, s chaintest.Storage, after head.Head, commands ...string) head.Head {
	var appends [][]body.Draft
	for _, c := range commands {
		appends = append(appends, body.Drafts([]changeset.Draft{{CommandID: c, Content: []byte("of " + c)}}, false))
	}
	built, next, err := link.Batch(after, s.AggregateID, appends, time.Now())
	require.NoError(t, err)
	for _, c := range built {
		require.NoError(t, s.Changesets.Put(t.Context(), c))
	}
	return next
}

// A plain append whose command a batch holds as its first after the same head
// is answered with the head as of that command's own last changeset: what the
// others of the batch appended its caller has not read.
func TestSameCommandWithinABatch(t *testing.T) {
	long := []string{}
	for i := range changeset.MaxPerAppend {
		long = append(long, fmt.Sprint("command ", i/150))
	}
	for _, row := range []struct {
		commands []string
		own      int
	}{
		{[]string{"command 0"}, 1},
		{[]string{"command 0", "command 1"}, 1},
		{[]string{"command 0", "command 0", "command 0"}, 3},
		{[]string{"command 0", "command 0", ""}, 2},
		{[]string{"command 0", "", "command 1", "command 2"}, 1},
		{long, 150},
	} {
		for _, others := range []int{0, 1, 40} {
			s := inMemory()
			before, err := s.Direct().Create(t.Context(), chaintest.Draft("before"))
			require.NoError(t, err)
			next := batchOf(t, s, before, row.commands...)
			_, err = s.Heads.Swap(t.Context(), before, next)
			require.NoError(t, err)
			for range others {
				rival(t, s)
			}
			stored := s.Contents(t)
			again := changeset.Draft{Content: []byte("again"), CommandID: "command 0"}
			got, err := s.Direct().Append(t.Context(), before, again)
			require.NoError(t, err)
			require.EqualValues(t, row.own, got.Version)
			require.Equal(t, row.own < len(row.commands), got.MidAppend())
			require.Equal(t, stored, s.Contents(t), "it stores nothing twice")
			contents, err := ropewalk.Collect(s.Direct().ReaderAt(got).All(t.Context()))
			require.NoError(t, err, "it can be read at")
			require.Len(t, contents, row.own+1)

			_, err = s.Direct().Append(t.Context(), got, chaintest.Draft("next"))
			require.Equal(t, row.own == len(row.commands) && others == 0, err == nil, "nobody appends to what he has not read")
			if err != nil {
				require.True(t, chaintest.IsConflict(err))
			}
			again.CommandID = "command 1"
			_, err = s.Direct().Append(t.Context(), before, again)
			require.True(t, chaintest.IsConflict(err), "a command that is not the first after that head")
		}
	}
}

// Another writer has processed the command of the first, or of the last, call
// of a batch: that says nothing of the others, which are built again.
func TestABatchIsNotJudgedByACommand(t *testing.T) {
	for _, command := range []string{"command 0", "command 3"} {
		synctest.Test(t, func(t *testing.T) {
			var script faults.Script
			s, appender := hotWorld(t, &script, true, 1)
			script.On(faults.Swap, 1, faults.Fault{DelayBefore: time.Second})
			script.On(faults.Swap, 2, faults.Fault{Before: func() {
				h, err := s.Direct().Head(t.Context())
				require.NoError(t, err)
				_, err = s.Direct().Append(t.Context(), h, changeset.Draft{CommandID: command})
				require.NoError(t, err)
			}})
			l := &ledger{}
			go l.call(t.Context(), appender, 1, "")
			synctest.Wait()
			atOnce(4, func(n int) { l.call(t.Context(), appender, 2, fmt.Sprint("command ", n)) })
			time.Sleep(time.Minute)
			l.requireTrue(t, s.Contents(t))
			for _, o := range l.all {
				require.NoError(t, o.err)
			}
			require.Len(t, s.Contents(t), 1+1+1+8)
		})
	}
}

// The same when a batch is settled, while another writer's append of a command
// of it wins.
func TestSettleOfABatchAsksForItsObjects(t *testing.T) {
	for _, commands := range [][]string{{"command 0", "command 1"}, {"command 1"}} {
		synctest.Test(t, func(t *testing.T) {
			var script faults.Script
			s, _ := hotWorld(t, &script, true, 1)
			before, err := s.Direct().Head(t.Context())
			require.NoError(t, err)
			batch := batchOf(t, s, before, commands...)
			script.On(faults.Swap, 1, faults.Fault{Before: func() {
				_, err := s.Direct().Append(t.Context(), before, changeset.Draft{CommandID: "command 1"})
				require.NoError(t, err)
			}})
			_, err = s.Faulty(&script, true).Settle(t.Context(), batch.Ref, before.Revision)
			require.True(t, chaintest.IsConflict(err), "%v", err)
			_, err = s.Direct().Settle(t.Context(), batch.Ref, before.Revision)
			require.True(t, chaintest.IsConflict(err), "and again: %v", err)
		})
	}
}

// A batch that is settled by the reference of its last changeset is settled whole.
func TestSettleOfABatch(t *testing.T) {
	s := inMemory()
	before, err := s.Direct().Create(t.Context(), chaintest.Draft("before"))
	require.NoError(t, err)
	batch := batchOf(t, s, before, "command 0", "", "command 1")
	_, err = s.Heads.Swap(t.Context(), before, batch)
	require.NoError(t, err)
	got, err := s.Direct().Settle(t.Context(), batch.Ref, before.Revision)
	require.NoError(t, err)
	require.Equal(t, batch.Ref, got.Ref)

	lost := batchOf(t, s, got, "command 2", "")
	_, err = s.Direct().Settle(t.Context(), lost.Ref, got.Revision)
	require.True(t, chaintest.IsConflict(err), "%v", err)
	_, err = s.Heads.Swap(t.Context(), got, lost)
	require.Error(t, err, "a swap that comes late")
	require.Equal(t, []string{"before", "of command 0", "of ", "of command 1"}, s.Contents(t))
}
