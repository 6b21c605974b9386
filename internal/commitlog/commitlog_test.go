package commitlog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func extend(t *testing.T, after head.Head, id string, n int) head.Head {
	t.Helper()
	_, next, err := link.Extend(after, id, make([]changeset.Draft, n), time.Now())
	require.NoError(t, err)
	return next
}

func TestAdvance(t *testing.T) {
	one := extend(t, head.Head{}, "order-1", 1)
	three := extend(t, one, "order-1", 2)
	rebuilt := three
	rebuilt.Revision += 7
	erased := link.Tombstone(three)
	for name, c := range map[string]struct {
		old, next head.Head
		want      head.Advance
	}{
		"a first append":  {head.Head{}, one, head.Advance{AggregateID: "order-1", ID: one.ID}},
		"a longer append": {one, three, head.Advance{AggregateID: "order-1", First: 1, Last: 2, ID: three.ID, Before: one.ID}},
		"a rebuilt head":  {one, rebuilt, head.Advance{AggregateID: "order-1", First: 1, Last: 2, ID: three.ID, Before: one.ID}},
		"an erasure":      {three, erased, head.Advance{AggregateID: "order-1", First: 3, Last: 2, ID: three.ID, Before: three.ID, Erased: true}},
		"an erasure of versions that were never reported": {one, erased, head.Advance{AggregateID: "order-1", First: 1, Last: 2, ID: three.ID, Before: one.ID, Erased: true}},
		"a tombstone without a head":                      {head.Head{}, erased, head.Advance{AggregateID: "order-1", Last: 2, ID: three.ID, Erased: true}},
	} {
		got, ok := Advance(c.old, c.next)
		require.True(t, ok, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestNoAdvance(t *testing.T) {
	h := extend(t, head.Head{}, "order-1", 1)
	checkpoint := link.Fence(h)
	checkpoint.Checkpoint = "l.1"
	other := extend(t, head.Head{}, "order-1", 1)
	other.Revision = 2
	reserved := extend(t, head.Head{}, "$feed", 1)
	for name, swap := range map[string][2]head.Head{
		"a fence":                             {h, link.Fence(h)},
		"a checkpoint":                        {h, checkpoint},
		"another changeset of the version":    {h, other},
		"a reserved aggregate":                {{}, reserved},
		"the erasure of a reserved aggregate": {reserved, link.Tombstone(reserved)},
	} {
		_, ok := Advance(swap[0], swap[1])
		require.False(t, ok, name)
	}
}

func TestMarksDiffer(t *testing.T) {
	a, b := NewMark(), NewMark()
	require.NotEqual(t, a, b)
	require.NotZero(t, a)
	require.Regexp(t, "^[0-9a-f]{16}$", Generation(a))
}

// TestBell rings before a follower waits, and while it waits.
func TestBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bell
		b.Ring()
		first, leaveFirst := b.Listen()
		second, leaveSecond := b.Listen()
		require.Empty(t, first, "it hears no earlier ring")
		b.Ring()
		b.Ring()
		<-first
		require.Empty(t, first, "two rings are one")
		leaveFirst()
		<-second
		go func() {
			time.Sleep(time.Hour)
			b.Ring()
		}()
		<-second
		require.Empty(t, first, "it has left")
		leaveSecond()
		require.Empty(t, b.followers, "the bell keeps followers that have left")
	})
}
