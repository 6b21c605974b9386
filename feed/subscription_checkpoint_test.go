package feed

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

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

// The share of an aggregate is stored, so to say, in the checkpoints.
func TestShareNeverChanges(t *testing.T) {
	for id, want := range map[string]int{"a": 3, "b": 3, "order-4711": 4} {
		for i := 1; i <= 4; i++ {
			require.Equal(t, i == want, Share{i, 4}.has(id), "%s %d", id, i)
		}
	}
}
