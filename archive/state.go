package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/internal/parallel"
)

// state is what all manifests say together.
type state struct {
	number   uint64 // of the newest manifest; 0 without a manifest
	newest   changeset.Digest
	position feed.Position
	live     map[string]File
	// erased are the aggregates whose erasure the feed has reported. The value says
	// whether they have no rows from here on.
	erased map[string]bool
	// batches are the manifests that have moved the position.
	batches []batchEnd
}

// batchEnd is where a batch ends in the feed.
type batchEnd struct {
	number   uint64
	position feed.Position
}

func newState() *state { return &state{live: map[string]File{}, erased: map[string]bool{}} }

// readAhead is how many manifests are read at the same time.
const readAhead = 16

// load reads all manifests.
func (a *Archive) load(ctx context.Context) (*state, error) {
	count, err := a.countManifests(ctx)
	if err != nil {
		return nil, err
	}
	numbers := func(context.Context) iter.Seq2[uint64, error] {
		return func(yield func(uint64, error) bool) {
			for number := uint64(1); number <= count && yield(number, nil); number++ {
			}
		}
	}
	s := newState()
	for m, err := range parallel.Map(ctx, readAhead, numbers, a.readManifest) {
		if err == nil {
			err = a.apply(s, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// loadExisting reads all manifests, of which there must be at least one.
func (a *Archive) loadExisting(ctx context.Context) (*state, error) {
	s, err := a.load(ctx)
	if err == nil && s.number == 0 {
		err = fmt.Errorf("%w in %s", ErrNoArchive, a.destination.Locate(""))
	}
	return s, err
}

// reload reads all manifests again, after another archiver has stored the next one.
func (a *Archive) reload(ctx context.Context, old *state) (*state, error) {
	s, err := a.load(ctx)
	if err == nil && s.number == old.number {
		err = a.corrupt(manifestName(old.number+1), "it exists, and the listing does not have it")
	}
	return s, err
}

// countManifests returns the number of manifests, which are numbered without gaps.
func (a *Archive) countManifests(ctx context.Context) (count uint64, err error) {
	var newest uint64
	for name, err := range a.destination.List(ctx, manifests) {
		if err != nil {
			return 0, err
		}
		if number, ok := manifestNumber(name); ok {
			count++
			newest = max(newest, number)
		}
	}
	if newest != count {
		return 0, a.corrupt(manifests, "the newest manifest is %d, and there are %d", newest, count)
	}
	return count, nil
}

// corrupt returns the error of a file that is not as it was written.
func (a *Archive) corrupt(name, format string, args ...any) error {
	return &changeset.CorruptError{Object: a.destination.Locate(name), Reason: fmt.Sprintf(format, args...)}
}

// hashed is a manifest, and the hash of its file.
type hashed struct {
	*manifest
	hash changeset.Digest
}

func (a *Archive) readManifest(ctx context.Context, number uint64) (hashed, error) {
	name := manifestName(number)
	content, err := a.destination.Read(ctx, name, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return hashed{}, a.corrupt(name, "it is missing")
	}
	if err != nil {
		return hashed{}, err
	}
	m, err := decodeManifest(content)
	switch {
	case errors.Is(err, changeset.ErrUnsupportedFormat):
		return hashed{}, fmt.Errorf("%s: %w", a.destination.Locate(name), err)
	case err != nil:
		return hashed{}, a.corrupt(name, "%v", err)
	case m.Number != number:
		return hashed{}, a.corrupt(name, "it has the number %d", m.Number)
	}
	return hashed{m, hash(content)}, nil
}

// apply adds the next manifest to what the manifests say.
func (a *Archive) apply(s *state, m hashed) error {
	if err := s.apply(m); err != nil {
		return a.corrupt(manifestName(m.Number), "%v", err)
	}
	return nil
}

func (s *state) apply(m hashed) error {
	if m.Number != s.number+1 || s.number > 0 && (m.Previous == nil || *m.Previous != s.newest) || s.number == 0 && m.Previous != nil {
		return fmt.Errorf("it does not follow manifest %d", s.number)
	}
	if err := s.applyFiles(m.manifest); err != nil {
		return err
	}
	for _, id := range m.erased {
		if _, known := s.erased[id]; known {
			return fmt.Errorf("%q is erased twice", id)
		}
		s.erased[id] = false
	}
	for _, id := range m.purged {
		if purged, known := s.erased[id]; !known || purged {
			return fmt.Errorf("%q has lost its rows, and was not erased, or had none", id)
		}
		s.erased[id] = true
	}
	if m.Position != s.position {
		s.batches = append(s.batches, batchEnd{m.Number, m.Position})
	}
	s.number, s.newest, s.position = m.Number, m.hash, m.Position
	return nil
}

func (s *state) applyFiles(m *manifest) error {
	for _, f := range m.add {
		number, ok := fileNumber(f.Name)
		if _, exists := s.live[f.Name]; exists || !ok || number != m.Number || f.Batch > number {
			return fmt.Errorf("it adds %s, which cannot be a file of it", f.Name)
		}
		s.live[f.Name] = f
	}
	for _, name := range m.remove {
		if f, exists := s.live[name]; !exists || f.Batch == m.Number {
			return fmt.Errorf("it removes %s, which is not a file of the archive", name)
		}
		delete(s.live, name)
	}
	return nil
}

// next returns the manifest that follows, with nothing in it.
func (s *state) next() *manifest {
	m := &manifest{preamble: preamble{Number: s.number + 1, Position: s.position}}
	if s.number > 0 {
		previous := s.newest
		m.Previous = &previous
	}
	return m
}

// pending returns the erased aggregates that may have rows, sorted.
func (s *state) pending() (ids []string) {
	for id, purged := range s.erased {
		if !purged {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// commit stores a manifest whose files are stored. It returns [errTaken] if another
// archiver has stored a manifest with the number.
func (a *Archive) commit(ctx context.Context, s *state, m *manifest) error {
	content, err := m.encode()
	if err != nil {
		return err
	}
	if err := a.create(ctx, manifestName(m.Number), content); err != nil {
		return err
	}
	return a.apply(s, hashed{m, hash(content)})
}
