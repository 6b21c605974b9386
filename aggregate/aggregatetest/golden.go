package aggregatetest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
	"ropewalk/changeset"
)

// Update is the environment variable under which [Spec.Golden] writes the
// files instead of comparing with them, where it is not empty.
const Update = "UPDATE_GOLDEN"

// Golden pins the stored form of events in a folder: one file for each name in
// Events, NAME.json, one line as it would be stored. A sample is what the file
// of its name holds; a name without one is sampled with every field filled in,
// unexported fields too.
//
// It requires that
//   - each event is stored exactly as its file says, and comes back equal, so
//     that a Save would take it;
//   - every other file of the folder, for a name which no longer exists, can
//     still be read, through the upcasters.
//
// So never delete a file: it stands for events that are stored. A new or
// changed one is written by running the test with UPDATE_GOLDEN=1.
func (s *Spec[S, E]) Golden(dir string, samples ...E) {
	s.t.Helper()
	pinned := s.samples(samples)
	if os.Getenv(Update) != "" {
		require.NoError(s.t, os.MkdirAll(dir, 0o755))
		for name, event := range pinned {
			require.NoError(s.t, os.WriteFile(filepath.Join(dir, fileName(name)), s.stored([]E{event}), 0o644))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		s.pinned(filepath.Join(dir, fileName(name)), name, pinned[name])
	}
	s.readable(dir)
}

func fileName(name string) string { return changeset.Escape(name) + ".json" }

// samples returns an event for each name.
func (s *Spec[S, E]) samples(given []E) map[string]E {
	s.t.Helper()
	samples := map[string]E{}
	for name, prototype := range s.typ.Events {
		samples[name] = filled(prototype)
	}
	for _, event := range given {
		records, err := s.typ.Decode(s.stored([]E{event}))
		require.NoError(s.t, err)
		require.Len(s.t, records, 1)
		samples[records[0].Type] = event
	}
	return samples
}

func (s *Spec[S, E]) pinned(file, name string, event E) {
	s.t.Helper()
	want, err := os.ReadFile(file)
	require.NoError(s.t, err, "the stored form of %q is not pinned yet: run the test with %s=1", name, Update)
	require.Equal(s.t, string(want), string(s.stored([]E{event})),
		"%q is stored in another form than history has it: give the new form another name, and an upcaster from this one", name)
	records, err := s.typ.Decode(want)
	require.NoError(s.t, err)
	require.Equal(s.t, []E{event}, eventsOf(records), "%q does not come back as it was stored", name)
}

func (s *Spec[S, E]) readable(dir string) {
	s.t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(s.t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".json") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		require.NoError(s.t, err)
		_, err = s.typ.Decode(content)
		require.NoError(s.t, err, "%s pins events that history has, and that can no longer be read: add an upcaster", file.Name())
	}
}

func eventsOf[E any](records []aggregate.Recorded[E]) (events []E) {
	for _, record := range records {
		events = append(events, record.Event)
	}
	return events
}
