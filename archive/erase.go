package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
)

// EraseReport says what an erasure has done.
type EraseReport struct {
	// Aggregates is the number of erased aggregates that no longer have rows, and may
	// have had rows before.
	Aggregates int64
	// Rows is the number of rows that were removed, and Files the number of files that
	// had them: these were rewritten, or removed if no row was left.
	Rows, Files int64
	// Deleted is the number of files that were deleted: the files that were rewritten,
	// and others that no manifest names.
	Deleted int64
}

// eraseFiles is how many files are rewritten between two manifests.
const eraseFiles = 64

// Erase removes the rows of all aggregates whose erasure [Archive.Run] has recorded. It
// rewrites the files that have such rows, and deletes the old ones after a manifest
// names the new ones in their place. It may be interrupted at any time: the next Erase
// goes on, and the next Erase or Run deletes what is left. Versioning and backups of
// the destination keep copies for their time.
//
// Erase returns the errors of [Archive.Files], a [*ropewalk.CorruptError] if a file is
// damaged, or the destination's error. The report next to an error says what was done
// before.
func (a *Archive) Erase(ctx context.Context) (EraseReport, error) {
	var r EraseReport
	s, err := a.loadExisting(ctx)
	for err == nil {
		err = a.eraseFrom(ctx, s, &r)
		if err == nil {
			r.Deleted, err = a.sweep(ctx, s)
			break
		}
		if errors.Is(err, errTaken) {
			s, err = a.reload(ctx, s)
		}
	}
	return r, err
}

// eraseFrom removes the rows, and commits what it has done now and then.
func (a *Archive) eraseFrom(ctx context.Context, s *state, r *EraseReport) error {
	pending := s.pending()
	if len(pending) == 0 {
		return nil
	}
	m, rows := s.next(), int64(0)
	for _, f := range s.files() {
		removed, err := a.rewrite(ctx, m, f, pending)
		if err != nil {
			return err
		}
		a.options.Progress(1)
		if rows += removed; len(m.remove) < eraseFiles {
			continue
		}
		if err := a.commitErased(ctx, s, m, rows, r); err != nil {
			return err
		}
		m, rows = s.next(), 0
	}
	m.purged = pending
	return a.commitErased(ctx, s, m, rows, r)
}

func (a *Archive) commitErased(ctx context.Context, s *state, m *manifest, rows int64, r *EraseReport) error {
	if err := a.commit(ctx, s, m); err != nil {
		return err
	}
	r.Rows += rows
	r.Files += int64(len(m.remove))
	r.Aggregates += int64(len(m.purged))
	return nil
}

// rewrite stores a file again without the rows of some aggregates, and returns how
// many rows it has removed. A file without such rows stays.
func (a *Archive) rewrite(ctx context.Context, m *manifest, f File, aggregates []string) (removed int64, err error) {
	if !f.mayHaveAny(aggregates) {
		return 0, nil
	}
	content, err := a.readFile(ctx, f)
	if isCorrupt(err) && a.superseded(ctx, m) {
		return 0, errTaken // and so the file may be deleted
	}
	if err != nil {
		return 0, err
	}
	gone := func(aggregateID string) bool {
		_, found := slices.BinarySearch(aggregates, aggregateID)
		return found
	}
	if found, err := hasRows(content, gone); err != nil || !found {
		return 0, a.damaged(f, err)
	}
	var out bytes.Buffer
	next := File{Batch: f.Batch}
	kept, dropped, err := rewriteWithout(&out, bytes.NewReader(content), f.Bytes, func(aggregateID string) bool {
		if gone(aggregateID) {
			return true
		}
		next.First, next.Last = cmp.Or(next.First, aggregateID), aggregateID
		return false
	})
	if err != nil {
		return 0, a.damaged(f, err)
	}
	m.remove = append(m.remove, f.Name)
	if next.Rows = int64(kept); kept == 0 {
		return int64(dropped), nil
	}
	return int64(dropped), a.addFile(ctx, m, path.Dir(f.Name), next, out.Bytes())
}

// hasRows reports whether a file has rows of some aggregates. To find out is much
// cheaper than to write the file again.
func hasRows(content []byte, of func(aggregateID string) bool) (bool, error) {
	for row, err := range Read(bytes.NewReader(content), int64(len(content))) {
		if err != nil || of(row.Aggregate) {
			return err == nil, err
		}
	}
	return false, nil
}

// superseded reports whether another archiver has stored a manifest with the number.
func (a *Archive) superseded(ctx context.Context, m *manifest) bool {
	_, err := a.destination.Read(ctx, manifestName(m.Number), 0)
	return err == nil
}
