package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// The states of an aggregate in two stores. Here is the store of --store, there the
// store of --with.
const (
	stateEqual       = "equal"
	stateAhead       = "ahead"  // there, the history ends at a version that is here as well
	stateBehind      = "behind" // the other store is ahead
	stateForked      = "forked"
	stateOnlyHere    = "only-here"
	stateOnlyThere   = "only-there"
	stateErasedHere  = "erased-here"
	stateErasedThere = "erased-there"
)

// storesDiff is the difference of one aggregate in two stores.
type storesDiff struct {
	id          string
	state       string
	here, there *ropewalk.Reader // of the empty history if the head is missing
	common      uint64           // how many changesets both histories begin with
}

// diffStores compares an aggregate in two stores.
func diffStores(ctx context.Context, std *ui.Streams, stores *storeFlags, arg, with string) error {
	id, err := reference.ParseID(arg)
	if err != nil {
		return err
	}
	stores.others = append(stores.others, with)
	return withStore(ctx, stores, func(here *store) error {
		return withURL(ctx, stores, with, false, func(there *store) error {
			d, err := compareStores(ctx, id, here, there)
			if err != nil {
				return err
			}
			return d.print(ctx, std)
		})
	})
}

func compareStores(ctx context.Context, id string, here, there *store) (storesDiff, error) {
	d := storesDiff{id: id}
	a, err := headOf(ctx, here, id)
	if err != nil {
		return d, err
	}
	b, err := headOf(ctx, there, id)
	if err != nil {
		return d, fmt.Errorf("in the other store: %w", err)
	}
	d.here, d.there = here.Chain(id).ReaderAt(a), there.Chain(id).ReaderAt(b)
	switch {
	case !a.Exists() && !b.Exists():
		return d, fmt.Errorf("%q is in neither store: %w", id, ropewalk.ErrNotFound)
	case !a.Exists():
		d.state = stateOnlyThere
	case !b.Exists():
		d.state = stateOnlyHere
	case a.State == head.Erased && b.State != head.Erased:
		d.state = stateErasedHere
	case a.State != head.Erased && b.State == head.Erased:
		d.state = stateErasedThere
	case a.Ref == b.Ref && a.Digest == b.Digest:
		d.state, d.common = stateEqual, a.Len()
	case a.State == head.Erased: // whatever they had in common is gone
		d.state = stateForked
	default:
		err = d.findFork(ctx)
	}
	return d, err
}

// headOf returns the head of an aggregate, a tombstone too, or the zero Head.
func headOf(ctx context.Context, s *store, id string) (head.Head, error) {
	h, err := s.Chain(id).Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) || errors.Is(err, ropewalk.ErrErased) {
		err = nil
	}
	return h, err
}

// findFork finds the newest changeset that both histories have. A digest commits to all
// of the history, so that a binary search finds it.
func (d *storesDiff) findFork(ctx context.Context) error {
	low, high := uint64(0), min(d.here.Head().Len(), d.there.Head().Len())
	for probe := high; low < high; probe = (low + high + 1) / 2 {
		same, err := d.sameAt(ctx, probe-1)
		if err != nil {
			return err
		}
		if same {
			low = probe
		} else {
			high = probe - 1
		}
	}
	d.common = low
	switch low {
	case d.there.Head().Len():
		d.state = stateAhead
	case d.here.Head().Len():
		d.state = stateBehind
	default:
		d.state = stateForked
	}
	return nil
}

// sameAt reports whether both histories have the same changeset at a version.
func (d *storesDiff) sameAt(ctx context.Context, version uint64) (bool, error) {
	a, err := headerAt(ctx, d.here, version)
	if err != nil {
		return false, err
	}
	b, err := headerAt(ctx, d.there, version)
	if err != nil {
		return false, fmt.Errorf("in the other store: %w", err)
	}
	return a.Ref == b.Ref && a.Digest == b.Digest, nil
}

// listed reports whether the changesets that only one store has are listed.
func (d *storesDiff) listed() bool {
	return (d.state == stateAhead || d.state == stateBehind || d.state == stateForked) && d.here.Head().State != head.Erased
}

// extra returns how many changesets only one of the histories has.
func (d *storesDiff) extra(r *ropewalk.Reader) int64 {
	if !d.listed() {
		return 0
	}
	return int64(r.Head().Len() - d.common)
}

// diffStoresJSON is the difference of an aggregate in two stores with --json. The
// changesets that only one store has follow.
type diffStoresJSON struct {
	ui.Kind
	Aggregate string     `json:"aggregate"`
	State     string     `json:"state"`
	Here      *pointJSON `json:"here,omitempty"`
	There     *pointJSON `json:"there,omitempty"`
	Common    *uint64    `json:"common,omitempty"`
	OnlyHere  int64      `json:"only_here"`
	OnlyThere int64      `json:"only_there"`
}

// diffChangesetJSON is a changeset that only one store has.
type diffChangesetJSON struct {
	ui.Kind
	Store      string `json:"store"`
	Ref        string `json:"ref"`
	Aggregate  string `json:"aggregate"`
	Version    uint64 `json:"version"`
	ID         string `json:"id"`
	RecordedAt string `json:"recorded_at"`
	Size       int64  `json:"size"`
	Digest     string `json:"digest"`
}

func (d *storesDiff) print(ctx context.Context, std *ui.Streams) error {
	if err := d.printState(std); err != nil || !d.listed() {
		return err
	}
	table := ui.NewTable(std.Out, "STORE", "VERSION", "CHANGESET", "RECORDED", "SIZE", "TYPE").AlignRight(1, 4)
	return printRows(std, table, d.differing(ctx), newDiffChangesetJSON, func(c storedChangeset) []string {
		h := c.header
		return []string{c.store, strconv.FormatUint(h.Version, 10), std.ShortID(h.ID.String()), ui.Seconds(h.RecordedAt), ui.ByteSize(h.BodySize), h.ContentType}
	})
}

// storedChangeset is a changeset and the store that has it: here or there.
type storedChangeset struct {
	store  string
	header changeset.Header
}

func newDiffChangesetJSON(c storedChangeset) any {
	h := c.header
	return diffChangesetJSON{
		ui.KindOf("diff-changeset"), c.store, h.Ref.String(), h.AggregateID, h.Version, h.ID.String(),
		changeset.FormatTime(h.RecordedAt), h.BodySize, h.Digest.String(),
	}
}

// differing yields the changesets that only one store has, the oldest first.
func (d *storesDiff) differing(ctx context.Context) iter.Seq2[storedChangeset, error] {
	return func(yield func(storedChangeset, error) bool) {
		for _, side := range []struct {
			store  string
			reader *ropewalk.Reader
		}{{"here", d.here}, {"there", d.there}} {
			if d.extra(side.reader) == 0 {
				continue
			}
			for h, err := range (span{side.reader, d.common, side.reader.Head().Version}).headers(ctx, true) {
				if !yield(storedChangeset{side.store, h}, err) || err != nil {
					return
				}
			}
		}
	}
}

// printState prints what the difference is.
func (d *storesDiff) printState(std *ui.Streams) error {
	if !std.JSON {
		return std.Print("%s: %s\n", ui.Safe(d.state), d.sentence())
	}
	out := diffStoresJSON{
		ui.KindOf("diff-stores"), d.id, d.state, newPointJSON(d.here.Head()), newPointJSON(d.there.Head()),
		nil, d.extra(d.here), d.extra(d.there),
	}
	if d.common > 0 {
		newest := d.common - 1
		out.Common = &newest
	}
	return std.Emit(out)
}

// sentence explains the state.
func (d *storesDiff) sentence() string {
	a, b := d.here.Head(), d.there.Head()
	here, there := ui.Plural(d.extra(d.here), "changeset"), ui.Plural(d.extra(d.there), "changeset")
	switch d.state {
	case stateEqual:
		return fmt.Sprintf("both stores have version %d, with digest %s", a.Version, a.Digest)
	case stateAhead:
		return fmt.Sprintf("version %d of the other store is in this history, which has %s more", b.Version, here)
	case stateBehind:
		return fmt.Sprintf("version %d of this store is in the other history, which has %s more", a.Version, there)
	case stateOnlyHere:
		return fmt.Sprintf("the other store does not have the aggregate, which is at version %d", a.Version)
	case stateOnlyThere:
		return fmt.Sprintf("this store does not have the aggregate, which is at version %d", b.Version)
	case stateErasedHere:
		return fmt.Sprintf("this store has a tombstone, and the other one has version %d", b.Version)
	case stateErasedThere:
		return fmt.Sprintf("the other store has a tombstone, and this one has version %d", a.Version)
	}
	switch {
	case a.State == head.Erased:
		return "both stores have a tombstone, of different histories"
	case d.common == 0:
		return fmt.Sprintf("the histories have nothing in common; this store has %s, and the other one has %s", here, there)
	default:
		return fmt.Sprintf("both stores have version %d; after it, this store goes on with %s, and the other one with %s", d.common-1, here, there)
	}
}
