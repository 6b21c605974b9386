package inspect_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/inspect"
)

// headless is a sample without its head, and the plan to rebuild it, over
// heads whose requests fail by script.
func headless(t *testing.T, script *faults.Script) (sample, *inspect.Inspector, inspect.Rebuilding) {
	s := newSample(t)
	s.Tamper(remove(s.lost.Ref))
	s.loseHead()
	plan, err := s.plan()
	require.NoError(t, err)
	return s, inspect.New(s, script.Heads(s), nil), plan
}

func TestNoFaultIsGuessedAt(t *testing.T) {
	for name, kind := range map[string]faults.Kind{"dropped": faults.Dropped, "lost": faults.Lost} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var script faults.Script
				script.On(faults.Swap, 1, faults.Fault{Kind: kind})
				script.On(faults.Load, 1, faults.Fault{Kind: faults.Dropped})
				s, in, plan := headless(t, &script)
				got, err := in.Apply(t.Context(), plan, changeset.Ref{})
				require.NoError(t, err)
				require.Equal(t, s.head.Ref, got.Ref)
				stored, err := s.Load(t.Context(), s.id)
				require.NoError(t, err)
				require.Equal(t, stored, got)
			})
		})
	}
}

func TestWhatStaysUnknownIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		script.Every(faults.Swap, faults.Fault{Kind: faults.Lost})
		script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		s, in, plan := headless(t, &script)
		_, err := in.Apply(t.Context(), plan, changeset.Ref{})
		require.ErrorIs(t, err, inspect.ErrUnknown)
		require.ErrorIs(t, err, faults.ErrInjected)
		again, err := s.plan()
		require.NoError(t, err)
		require.Equal(t, inspect.Standing, again.Condition, "to plan anew tells")
	})
}

func TestARefusalIsNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
		_, in, plan := headless(t, &script)
		_, err := in.Apply(t.Context(), plan, changeset.Ref{})
		require.Error(t, err)
		require.NotErrorIs(t, err, inspect.ErrUnknown)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = in.Apply(ended, plan, changeset.Ref{})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, inspect.ErrUnknown)
	})
}

func TestAHeadThatSomebodyElseMadeStands(t *testing.T) {
	s, in, plan := headless(t, &faults.Script{})
	theirs, err := ropewalk.New(s, s, nil).Chain(s.id).Create(t.Context(), draft("another beginning"))
	require.NoError(t, err)
	_, err = in.Apply(t.Context(), plan, changeset.Ref{})
	require.ErrorIs(t, err, inspect.ErrHeadMoved)
	require.ErrorContains(t, err, theirs.ID.String())
	now, err := s.Load(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, theirs, now)

	s, in, plan = headless(t, &faults.Script{}) // another one with the same plan
	same := s.rebuild(changeset.Ref{})
	got, err := in.Apply(t.Context(), plan, changeset.Ref{})
	require.NoError(t, err)
	require.Equal(t, same, got)
}

func TestATipThatChangedSinceIsNotTrusted(t *testing.T) {
	s, in, plan := headless(t, &faults.Script{})
	forged := plan
	forged.Tips = []inspect.Tip{plan.Tips[0]}
	forged.Tips[0].Digest[0] ^= 1
	_, err := in.Apply(t.Context(), forged, changeset.Ref{})
	require.ErrorContains(t, err, "not what it was")
	s.Tamper(remove(s.chain[5].Ref))
	_, err = in.Apply(t.Context(), plan, changeset.Ref{})
	var bad *changeset.CorruptError
	require.ErrorAs(t, err, &bad)
}

// A newer version's fields are kept where the head is there to have them.
func TestRollingForwardKeepsUnknownFields(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	old := b.head
	b.append(draft("1"))
	b.append(draft("2"))
	record, err := head.EncodeJSON(old)
	require.NoError(t, err)
	kept, err := head.DecodeJSON(b.id, "o", []byte(`{"a":1,`+string(record[1:])))
	require.NoError(t, err)
	b.putBack(kept)
	require.Equal(t, kept.Extra(), b.rebuild(changeset.Ref{}).Extra())
	require.Empty(t, b.verify().Problems)
}
