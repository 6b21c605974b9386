package archive

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"ropewalk/feed"
)

// batch collects the rows of consecutive changes until they are written.
type batch struct {
	folders    map[string][]Row
	erased     map[string]bool // erased aggregates, by the changes of the batch
	position   feed.Position
	changesets int
	rows, size int
}

func newBatch() *batch { return &batch{folders: map[string][]Row{}, erased: map[string]bool{}} }

// add adds a change. Rows of an aggregate that is known to be erased are left out.
func (b *batch) add(c feed.Change, s *state) {
	b.position = c.Position
	_, erased := s.erased[c.AggregateID]
	switch {
	case erased || b.erased[c.AggregateID]:
		return
	case c.Erased:
		b.erased[c.AggregateID] = true
		return
	}
	b.changesets++
	for row := range RowsOf(c.Changeset, c.Position) {
		f := folder(row)
		b.folders[f] = append(b.folders[f], row)
		b.rows++
		b.size += row.size()
	}
}

// sorted returns the folders with rows, sorted, without the rows of aggregates that
// were erased within the batch.
func (b *batch) sorted() (folders []string) {
	for f, rows := range b.folders {
		rows = slices.DeleteFunc(rows, func(r Row) bool { return b.erased[r.Aggregate] })
		slices.SortFunc(rows, Row.compare)
		b.folders[f] = rows
		if len(rows) > 0 {
			folders = append(folders, f)
		}
	}
	slices.Sort(folders)
	return folders
}

// write stores the batch: its files, and then the manifest that names them. It returns
// [errTaken] if another archiver was first.
func (a *Archive) write(ctx context.Context, s *state, b *batch) (*manifest, error) {
	m := s.next()
	m.Position = b.position
	for _, folder := range b.sorted() {
		rows := b.folders[folder]
		content, err := encodeRows(rows)
		if err != nil {
			return nil, err
		}
		file := File{Batch: m.Number, Rows: int64(len(rows)), First: rows[0].Aggregate, Last: rows[len(rows)-1].Aggregate}
		if err := a.addFile(ctx, m, folder, file, content); err != nil {
			return nil, err
		}
		delete(b.folders, folder) // written rows need no memory
	}
	m.erased = slices.Sorted(maps.Keys(b.erased))
	if len(s.live) == 0 {
		m.purged = m.erased // there are no rows that could be theirs
	}
	return m, a.commit(ctx, s, m)
}

func encodeRows(rows []Row) ([]byte, error) {
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// addFile stores a file, and adds it to the manifest.
func (a *Archive) addFile(ctx context.Context, m *manifest, folder string, f File, content []byte) error {
	f.SHA256, f.Bytes = hash(content), int64(len(content))
	f.Name = fileName(folder, m.Number, f.SHA256)
	err := a.create(ctx, f.Name, content)
	if errors.Is(err, errTaken) {
		return a.corrupt(f.Name, "its content is not what its name says")
	}
	if err != nil {
		return err
	}
	m.add = append(m.add, f)
	return nil
}
