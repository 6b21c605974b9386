package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// A sound store has no finding to act on, and is as it was.
func TestDoctorChangesNothing(t *testing.T) {
	p := newTestPlace()
	p.append(t, "order", "{}", "{}")
	before := p.contents(t)
	r := p.run(t.Context(), "", "doctor")
	require.Zero(t, r.exit, r.stderr)
	for _, line := range []string{"ok  reading a head takes", "ok  reading an object takes", "ok  swapping a head is permitted", "ok  putting an object is permitted", "ok  feed lacks nothing"} {
		require.Contains(t, r.stdout, line)
	}
	require.Equal(t, before, p.contents(t))
}

// Each finding has a hint, and the exit code is 7.
func TestDoctorFindsWhatNeedsDoing(t *testing.T) {
	denied := &finding.SetupError{What: "S3 denies access", Hint: "check the credentials"}
	for name, c := range map[string]struct {
		spoil         func(t *testing.T, p *testPlace)
		finding, hint string
	}{
		"a head from the future": {func(t *testing.T, p *testPlace) {
			h := head.Head{Ref: changeset.Ref{AggregateID: "late", ID: changeset.NewID()}, Revision: 1, State: head.Live, UpdatedAt: time.Now().Add(time.Hour)}
			h.Ancestors = h.Ancestors.Push(h.ID)
			_, err := p.memory.Swap(t.Context(), head.Head{}, h)
			require.NoError(t, err)
		}, "!!  heads: late was written 1h", "set the clock"},
		"no right to read": {func(_ *testing.T, p *testPlace) {
			p.script.Every(faults.Load, faults.Fault{Kind: faults.Refused, Err: denied})
		}, "!!  store: ", "check the credentials"},
		"no right to swap": {func(_ *testing.T, p *testPlace) {
			p.script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Err: denied})
		}, "!!  store: ", "check the credentials"},
		"no right to put": {func(_ *testing.T, p *testPlace) {
			p.script.Every(faults.Put, faults.Fault{Kind: faults.Refused, Err: denied})
		}, "!!  store: ", "check the credentials"},
		"a missing object": {func(t *testing.T, p *testPlace) {
			h, err := p.memory.Load(t.Context(), "order")
			require.NoError(t, err)
			require.NoError(t, p.memory.Delete(t.Context(), h.Ref))
		}, "!!  reading an object: order@0", "ropewalk verify order"},
		"far away": {func(_ *testing.T, p *testPlace) {
			p.script.Every(faults.Load, faults.Fault{DelayAfter: time.Second})
		}, "!!  reading a head: takes 1s", "in the region of the store"},
		"no relay": {func(t *testing.T, p *testPlace) {
			p.bare = true
			require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
			p.append(t, "order-2", "{}")
			time.Sleep(time.Hour)
		}, "!!  feed: lacks ", "ropewalk relay"},
		"parked": {func(t *testing.T, p *testPlace) {
			p.subscribe(t, "mailer", func(feed.Change) bool { return true })
		}, "!!  subscription mailer: 1 changes are parked", "ropewalk subscriptions mailer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTestPlace()
				p.append(t, "order", "{}")
				c.spoil(t, p)
				r := p.run(t.Context(), "", "doctor")
				require.Equal(t, 7, r.exit, r.stdout+r.stderr)
				require.Contains(t, r.stdout, c.finding)
				require.Contains(t, r.stdout, c.hint)
			})
		})
	}
}

// A store that is far away on purpose has no finding.
func TestDoctorAcceptsSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.append(t, "order", "{}")
		p.script.Every(faults.Load, faults.Fault{DelayAfter: time.Second})
		require.Zero(t, p.run(t.Context(), "", "doctor", "--slow", "1s").exit)
	})
}

// An error that is no matter of the setup ends the examination.
func TestDoctorReportsErrors(t *testing.T) {
	p := newTestPlace()
	p.script.Every(faults.Load, faults.Fault{Kind: faults.Refused, Err: errors.New("the disk is full")})
	r := p.run(t.Context(), "", "doctor")
	require.Equal(t, 1, r.exit)
	require.Contains(t, r.stderr, "the disk is full")
}

func TestDoctorMeasuresTheWAL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ropewalk.db")
	require.Equal(t, finding.Finding{Name: "wal", OK: true, Detail: "none"}, walSize(file))
	require.NoError(t, os.WriteFile(file+"-wal", nil, 0o600))
	require.True(t, walSize(file).OK)
	require.NoError(t, os.Truncate(file+"-wal", largeWAL))
	f := walSize(file)
	require.False(t, f.OK)
	require.Contains(t, f.Hint, "read transaction")
}
