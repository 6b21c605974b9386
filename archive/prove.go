package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"

	"ropewalk"
	"ropewalk/internal/parallel"
)

// prove holds the files of a batch against the changes that were taken.
func (v *verification) prove(ctx context.Context, number uint64) (Proof, error) {
	v.batch.sorted()
	want, got := v.batch.folders, map[string][]Row{}
	for _, f := range v.files[number] {
		rows, err := v.read(ctx, f)
		switch {
		case isCorrupt(err):
			v.find(ropewalk.Ref{}, f.Name, err)
			delete(want, path.Dir(f.Name)) // one finding is enough
		case err != nil:
			return Proof{}, err
		}
		got[path.Dir(f.Name)] = append(got[path.Dir(f.Name)], rows...)
	}
	folders := slices.AppendSeq(slices.Collect(maps.Keys(want)), maps.Keys(got))
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		v.compare(folder, want[folder], got[folder])
	}
	v.proof.Changesets = int64(v.batch.changesets)
	proof := v.proof
	v.batch, v.proof = newBatch(), Proof{}
	return proof, nil
}

// read returns the rows of a file.
func (v *verification) read(ctx context.Context, f File) (rows []Row, err error) {
	content, err := v.readFile(ctx, f)
	if isCorrupt(err) && v.superseded(ctx, v.state.next()) {
		return nil, ErrChanged
	}
	if err != nil {
		return nil, err
	}
	v.proof.Files++
	v.proof.Bytes += f.Bytes
	for row, err := range Read(bytes.NewReader(content), f.Bytes) {
		if err != nil {
			return nil, v.damaged(f, err)
		}
		rows = append(rows, row)
	}
	v.proof.Rows += int64(len(rows))
	if err := f.verifyRows(rows); err != nil {
		return nil, v.damaged(f, err)
	}
	return rows, nil
}

// verifyRows holds the rows of a file against its manifest.
func (f File) verifyRows(rows []Row) error {
	switch {
	case int64(len(rows)) != f.Rows:
		return fmt.Errorf("it has %d rows, and the manifest says %d", len(rows), f.Rows)
	case !slices.IsSortedFunc(rows, Row.compare):
		return errors.New("its rows are not sorted by aggregate, version and index")
	case len(rows) == 0 || rows[0].Aggregate != f.First || rows[len(rows)-1].Aggregate != f.Last:
		return errors.New("its first or last aggregate is not what the manifest says")
	}
	return nil
}

// compare holds the rows of a folder against the rows that the changes have.
func (v *verification) compare(folder string, want, got []Row) {
	slices.SortStableFunc(got, Row.compare) // of several files
	for len(want) > 0 || len(got) > 0 {
		switch order := compareFirst(want, got); {
		case order < 0:
			v.findRow(folder, want[0], "is missing")
			want = want[1:]
		case order > 0:
			v.extra(folder, got[0])
			got = got[1:]
		default:
			column := got[0].difference(want[0])
			if column == "" && got[0].Position != want[0].Position {
				column = "position"
			}
			if column != "" {
				v.findRow(folder, want[0], "does not have the "+column+" of its changeset")
			}
			want, got = want[1:], got[1:]
		}
	}
}

// compareFirst compares the first rows of two lists, of which one may be empty.
func compareFirst(want, got []Row) int {
	switch {
	case len(got) == 0:
		return -1
	case len(want) == 0:
		return 1
	}
	return want[0].compare(got[0])
}

// extra judges a row that no change has.
func (v *verification) extra(folder string, r Row) {
	switch {
	case v.state.erased[r.Aggregate]:
		v.findRow(folder, r, "is there, although the aggregate was erased")
	case v.gone[r.Aggregate]:
		v.proof.Unproved++
	default:
		v.findRow(folder, r, "is in the archive, and not in the chain")
	}
}

func (v *verification) findRow(folder string, r Row, problem string) {
	ref := ropewalk.Ref{AggregateID: r.Aggregate, Version: r.Version, ID: r.ChangesetID}
	v.find(ref, folder, fmt.Errorf("event %d %s", r.Index, problem))
}

// chainsAtOnce is how many heads are loaded at the same time.
const chainsAtOnce = 32

// last returns the proof of the chains: the digest at which each ends in the archive
// is in the chain of the head.
func (v *verification) last(ctx context.Context) (Proof, error) {
	ids := func(context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, id := range slices.Sorted(maps.Keys(v.chains)) {
				if !v.gone[id] && !yield(id, nil) {
					return
				}
			}
		}
	}
	for found, err := range parallel.Map(ctx, chainsAtOnce, ids, v.proveChain) {
		if err != nil {
			return v.proof, err
		}
		v.proof.Aggregates++
		v.proof.Findings = append(v.proof.Findings, found...)
	}
	for name, err := range v.destination.List(ctx, "") {
		if err != nil {
			return v.proof, err
		}
		if v.state.isOrphan(name) {
			v.proof.Orphans++
		}
	}
	return v.proof, nil
}

// proveChain proves that the chain of an aggregate has what the archive has.
func (v *verification) proveChain(ctx context.Context, id string) ([]Finding, error) {
	last := v.chains[id]
	ref := ropewalk.Ref{AggregateID: id, Version: last.version, ID: last.id}
	h, err := v.store.Chain(id).HeadAt(ctx, last.version)
	switch {
	case errors.Is(err, ropewalk.ErrErased):
		return nil, nil
	case errors.Is(err, ropewalk.ErrNotFound):
		return []Finding{{Ref: ref, Problem: "the chain does not have it: its head was restored or is missing"}}, nil
	case isCorrupt(err):
		return []Finding{{Ref: ref, Problem: reasonOf(err)}}, nil
	case err != nil:
		return nil, err
	case h.ID != last.id || h.Digest != last.digest:
		return []Finding{{Ref: ref, Problem: "the chain has another changeset at this version"}}, nil
	}
	return nil, nil
}
