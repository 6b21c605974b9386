//go:build integration

package integration_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// modelKills is how often the processes of a read model are killed.
const modelKills = 10

// permitPlaces are the stores of the permits for each database of the read model.
var permitPlaces = map[string]func(testing.TB) permitStore{"sqlite": newPermitBucket, "postgres": newPermitBucket, "mysql": newPermitFile}

// TestPermitModel imports the log of permits while a read model follows, in two
// processes, whose connections break at commits. They and the relay are killed along
// the way; later the model is rebuilt as another version while the old processes still
// run. In the end the tables are what a plain fold over the log gives.
func TestPermitModel(t *testing.T) {
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, err := readPermits()
			require.NoError(t, err)
			w := permitWorld{T: t, log: log, store: permitPlaces[name](t), model: permitModel{fresh(t), 1, len(log.lines) / 100}}
			w.db = w.model.open(t)
			half := log.parts(2)
			w.startAll()
			w.surviveKills(half[0])
			w.switchOver(half[1])
		})
	}
}

// permitWorld is a store with permits, its read model, and the processes at work.
type permitWorld struct {
	*testing.T
	log       permitLog
	store     permitStore
	model     permitModel
	db        *sql.DB
	instances [2]*child
	relay     *child // nil for a store that needs no relay
}

func (w *permitWorld) startAll() {
	w.model.create(w, w.db)
	for i := range w.instances {
		w.instances[i] = modelProcess{Store: w.store, Model: w.model}.start(w)
	}
	if w.store.File == "" {
		w.relay = modelProcess{Store: w.store, Relay: true}.start(w)
	}
}

// killSome kills the relay and an instance, and starts them again.
func (w *permitWorld) killSome(n int) {
	killed := []**child{&w.instances[n%2]}
	if w.relay != nil {
		killed = append(killed, &w.relay)
	}
	for _, c := range killed {
		(*c).kill(w)
		*c = (*c).start(w)
	}
}

// surviveKills appends a log, and kills when a part of each part is in the read model.
func (w *permitWorld) surviveKills(log permitLog) {
	began := time.Now()
	for n, part := range log.parts(modelKills) {
		_, before := w.model.departments(w, w.db)
		appending := w.grow(part)
		w.await(before + 1)
		w.killSome(n)
		require.NoError(w, appending.Wait())
	}
	w.await(len(log.lines))
	got, events := w.model.departments(w, w.db)
	require.Equal(w, len(log.lines), events)
	require.Equal(w, log.fold(), got)
	w.Logf("%d events with %d kills in %s", events, modelKills, time.Since(began).Round(time.Millisecond))
}

// switchOver rebuilds the read model while the log grows and the old instances run.
func (w *permitWorld) switchOver(rest permitLog) {
	old := w.model
	w.model.Version++
	w.model.create(w, w.db)
	appending := w.grow(rest)
	f, err := w.store.feed()
	require.NoError(w, err)
	db, err := losing(w.model.database)
	require.NoError(w, err)
	defer db.Close()
	require.NoError(w, w.model.projection(db).Rebuild(w.Context(), f, w.model.handler(w.log.types), nil))
	for _, c := range w.instances {
		select {
		case <-c.ended:
			require.Equal(w, exitOtherVersion, c.cmd.ProcessState.ExitCode())
		case <-time.After(time.Minute):
			w.Fatal("an instance of the old version still runs")
		}
	}
	frozen, _ := old.departments(w, w.db)
	for i := range w.instances {
		w.instances[i] = modelProcess{Store: w.store, Model: w.model}.start(w)
	}
	require.NoError(w, appending.Wait())
	w.await(len(w.log.lines))
	got, _ := w.model.departments(w, w.db)
	require.Equal(w, w.log.fold(), got)
	got, _ = old.departments(w, w.db)
	require.Equal(w, frozen, got, "the old version has changed after the switch")
	w.stopAll()
}

func (w *permitWorld) stopAll() {
	for _, c := range append(w.instances[:], w.relay) {
		if c != nil {
			c.kill(w)
		}
	}
}

// grow appends a log while the test goes on.
func (w *permitWorld) grow(log permitLog) *errgroup.Group {
	var group errgroup.Group
	group.Go(func() error {
		store, err := w.store.open()
		if err != nil {
			return err
		}
		return log.appendTo(w.Context(), store)
	})
	return &group
}

// await waits until the read model has as many events.
func (w *permitWorld) await(events int) {
	w.Helper()
	require.Eventually(w, func() bool {
		_, now := w.model.departments(w, w.db)
		return now >= events
	}, 2*time.Minute, 20*time.Millisecond)
}
