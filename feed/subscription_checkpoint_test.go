package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestCheckpointComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		position := rapid.Custom(func(t *rapid.T) Position {
			p := Position{generation: "00000000000000aa", at: rapid.Uint64Min(1).Draw(t, "at"), version: rapid.Uint64().Draw(t, "version")}
			if rapid.Bool().Draw(t, "chain") {
				p.id, p.line = changeset.ID{1}, rapid.Uint64().Draw(t, "line")
			}
			return p
		})
		c := checkpoint{
			of: rapid.Uint64().Draw(t, "of"), fence: rapid.Uint64().Draw(t, "fence"), beat: rapid.Uint64().Draw(t, "beat"),
			owner: rapid.StringMatching("([0-9a-f]{16})?").Draw(t, "owner"), position: position.Draw(t, "position"),
			replay: rapid.Bool().Draw(t, "replay"), parked: map[string]Parked{},
		}
		for _, id := range rapid.SliceOfN(rapid.StringMatching(`[a-z é%&=+/ ]{1,20}`), 0, 5).Draw(t, "parked") {
			c.parked[id] = Parked{id, rapid.Uint64().Draw(t, "version"), position.Draw(t, "place"), "error"}
		}
		h := head.Head{Checkpoint: c.text()}
		got, err := parseCheckpoint(h)
		require.NoError(t, err)
		require.Equal(t, c, got)
		require.Equal(t, c.text(), got.text())
	})
}

// Checkpoints and definitions are stored under these texts for good.
func TestStoredFormOfSubscriptions(t *testing.T) {
	at := Position{generation: "00000000000000aa", at: 7, mark: [8]byte{1}, version: 3}
	c := checkpoint{0, "0123456789abcdef", 2, 9, at, true, map[string]Parked{"order/1 é": {"order/1 é", 2, Position{}, "error"}}}
	require.Equal(t, "beat=9&definition=0&fence=2&format=1&owner=0123456789abcdef"+
		"&parked=2++error+order%2F1+%C3%A9&position=l.00000000000000aa.7.0100000000000000.3&replay=true", c.text())

	content, err := json.Marshal(definition{Format: 1, Name: "orders", Share: &Share{2, 4}, From: at})
	require.NoError(t, err)
	require.JSONEq(t, `{"format":1,"name":"orders","share":{"index":2,"of":4},"from":"l.00000000000000aa.7.0100000000000000.3"}`, string(content))
	content, err = json.Marshal(definition{Format: 1, Name: "orders", Deleted: true})
	require.NoError(t, err)
	require.JSONEq(t, `{"format":1,"name":"orders","from":"","deleted":true}`, string(content))
	content, err = json.Marshal(index{1, []string{"mail", "orders/2-of-4"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"format":1,"subscriptions":["mail","orders/2-of-4"]}`, string(content))
	half := (&Feed{}).Subscription("orders", &SubscriptionOptions{Share: Share{2, 4}})
	require.Equal(t, "$subscription-orders/2-of-4", half.chainID())
}

// The contents that wait for their handlers take a bounded size of memory.
func TestContentsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&SubscriptionOptions{}, 100, record{}, time.Now())
		large := Change{Changeset: ropewalk.Changeset{Content: make([]byte, maxBytes)}}
		small := Change{Changeset: ropewalk.Changeset{Content: make([]byte, 1)}}
		first, err := l.begin(t.Context(), large, Position{at: 1}, false)
		require.NoError(t, err)
		began := false
		go func() {
			_, err := l.begin(t.Context(), small, Position{at: 2}, false)
			began = err == nil
		}()
		synctest.Wait()
		require.False(t, began)
		l.handled([]job{first})
		synctest.Wait()
		require.True(t, began)
	})
}

// The head takes the checkpoint with the longest list.
func TestLongestCheckpointFits(t *testing.T) {
	longest := Position{generation: "00000000000000aa", at: math.MaxUint64, id: changeset.ID{255}, line: math.MaxUint64, version: math.MaxUint64}
	longest.generation += strings.Repeat("a", maxPosition-len(longest.String()))
	require.Len(t, longest.String(), maxPosition)
	c := checkpoint{math.MaxUint64, "0123456789abcdef", math.MaxUint64, math.MaxUint64, longest, true, map[string]Parked{}}
	for i := range maxParked {
		id := strings.Repeat("%", 41) + fmt.Sprintf("%05d", i)
		require.Len(t, changeset.Escape(id), changeset.MaxAggregateID)
		c.parked[id] = Parked{id, math.MaxUint64, longest, "timeout"}
	}
	require.LessOrEqual(t, len(c.text()), head.MaxCheckpoint)
}

func TestCheckpointThatIsDamaged(t *testing.T) {
	good := checkpoint{position: Position{generation: "aa", at: 1}, parked: map[string]Parked{"a": {"a", 1, Position{}, "error"}}}.text()
	_, err := parseCheckpoint(head.Head{Checkpoint: good})
	require.NoError(t, err)
	for _, damage := range []string{"format=1", "fence=7", "beat=x", "definition=-1", "position=p", "parked=1", "parked=x++error+a", "parked=1++error+"} {
		field, _, _ := strings.Cut(damage, "=")
		var kept []string
		for part := range strings.SplitSeq(good, "&") {
			if !strings.HasPrefix(part, field+"=") {
				kept = append(kept, part)
			}
		}
		text := strings.Join(append(kept, damage), "&")
		if damage == "fence=7" || damage == "format=1" {
			text = strings.Join(kept, "&") // it is missing
		}
		_, err := parseCheckpoint(head.Head{Checkpoint: text})
		_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
		require.True(t, corrupt, "%s: %v", text, err)
	}
	_, err = parseCheckpoint(head.Head{Checkpoint: strings.Replace(good, "format=1", "format=2", 1)})
	require.ErrorIs(t, err, ropewalk.ErrUnsupportedFormat)
}

// A checkpoint means the changes of a share, so the share of an aggregate is a stored
// format.
func TestShareNeverChanges(t *testing.T) {
	for id, want := range map[string]int{"a": 3, "b": 3, "order-4711": 4} {
		for i := 1; i <= 4; i++ {
			require.Equal(t, i == want, Share{i, 4}.has(id), "%s %d", id, i)
		}
	}
}
