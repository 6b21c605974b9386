package inspect_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

var (
	feed         = reserved.Feed("0123456789abcdef")
	subscription = reserved.Subscription("mail")
)

func TestReservedChainsAreVerifiedByID(t *testing.T) {
	for _, id := range []string{reserved.Register, feed, subscription} {
		b := newBench(t, id)
		b.append(draft("one"))
		b.orphan(draft("lost"))
		b.append(draft("two"))
		report := b.verify()
		require.Empty(t, report.Problems)
		require.Equal(t, 2, report.Committed)
		require.Equal(t, 1, report.Lost)
		graph, err := inspect.New(b, b, nil).Graph(t.Context(), id, 10)
		require.NoError(t, err)
		require.Equal(t, b.head.WithToken(""), graph.Head.WithToken(""))

		b.Tamper(remove(b.head.Ref))
		require.NotEmpty(t, b.verify().Problems)
	}
}

func TestVerifyAllLeavesReservedChainsOutUnlessAsked(t *testing.T) {
	m := fill(t, "a", reserved.Register, feed, subscription)
	for _, id := range []string{reserved.Snapshots("a"), reserved.Snapshots(feed), "$later"} { // no chains
		b := &bench{t: t, Store: m, id: id}
		b.orphan(draft("x"))
	}
	headOnly := &bench{t: t, Store: m, id: reserved.Feed("gone")}
	_, next := headOnly.build(head.Head{}, draft("x"))
	headOnly.swap(next)
	for internal, want := range map[bool][]string{
		false: {"a"},
		true:  {reserved.Register, feed, headOnly.id, subscription, "a"},
	} {
		reports, err := ropewalk.Collect(inspect.New(m, m, &inspect.Options{Internal: internal}).VerifyAll(t.Context()))
		require.NoError(t, err)
		var got []string
		for _, r := range reports {
			got = append(got, r.AggregateID)
		}
		require.ElementsMatch(t, want, got)
	}
}

// A lost head of a feed is rebuilt from its batches.
func TestLostHeadOfAFeedIsRebuilt(t *testing.T) {
	b := newBench(t, feed)
	b.append(draft("one"))
	b.append(draft("two"))
	was := b.head
	b.loseHead()
	require.Equal(t, was.WithToken(""), b.rebuild(changeset.Ref{}).WithToken(""))
	require.Empty(t, b.verify().Problems)
}

// A subscription's head holds what no object has. It is rolled forward with its
// checkpoint, and not made again without.
func TestLostHeadOfASubscriptionIsNotRebuilt(t *testing.T) {
	b := newBench(t, subscription)
	b.append(draft("definition"))
	moved := link.Fence(b.head)
	moved.Checkpoint = "a=1"
	b.swap(moved)
	restored := b.head
	b.append(draft("another definition"))
	b.fence()
	b.append(draft("a third"))
	b.putBack(restored)
	require.Equal(t, "a=1", b.rebuild(changeset.Ref{}).Checkpoint)

	b.loseHead()
	_, err := b.plan()
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	require.ErrorContains(t, err, "begin the subscription again")
}

func TestSnapshotsHaveNoHeadToRebuild(t *testing.T) {
	for _, id := range []string{reserved.Snapshots("a"), "$later"} {
		b := newBench(t, id)
		b.orphan(draft("x"))
		_, err := b.plan()
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
	}
}
