package inspect_test

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// damage is one change made directly in the storage, and what it hurts: the
// changesets that Verify has to name, a zero ID for the head.
type damage struct {
	name string
	hurt []changeset.Ref
	do   func(*memstore.Contents)
}

// flips returns every flip, by mask, of each byte of the object's body,
// content type, metadata keys and metadata values.
func flips(c changeset.Changeset, o memstore.Object, mask byte) (all []damage) {
	add := func(what string, at int, do func(*memstore.Object)) {
		all = append(all, damage{
			fmt.Sprintf("%s byte %d", what, at),
			[]changeset.Ref{c.Ref},
			func(m *memstore.Contents) { do(m.Objects[c.ObjectName()]) },
		})
	}
	for i := range o.Body {
		add("body", i, func(o *memstore.Object) { o.Body[i] ^= mask })
	}
	for i := range len(o.ContentType) {
		add("content type", i, func(o *memstore.Object) { o.ContentType = flip(o.ContentType, i, mask) })
	}
	for key, value := range o.Metadata {
		for i := range len(key) {
			add("key "+key, i, func(o *memstore.Object) {
				delete(o.Metadata, key)
				o.Metadata[flip(key, i, mask)] = value
			})
		}
		for i := range len(value) {
			add(key, i, func(o *memstore.Object) { o.Metadata[key] = flip(value, i, mask) })
		}
	}
	return all
}

// headFlips returns every flip, by mask, of each byte of the head's JSON, but
// for the values of revision and updated-at, which nothing proves.
func headFlips(id string, record []byte, mask byte) (all []damage) {
	spared := map[int]bool{}
	for _, value := range []string{`"revision":`, `"updated-at":`} {
		from := strings.Index(string(record), value) + len(value)
		for i := from; record[i] != ',' && record[i] != '}'; i++ {
			spared[i] = true
		}
	}
	for i := range record {
		if !spared[i] {
			all = append(all, damage{
				fmt.Sprintf("head byte %d", i),
				[]changeset.Ref{{AggregateID: id}},
				func(m *memstore.Contents) { m.Heads[head.ObjectName(id)][i] ^= mask },
			})
		}
	}
	return all
}

func flip(s string, i int, mask byte) string {
	b := []byte(s)
	b[i] ^= mask
	return string(b)
}

func masks() []byte {
	if testing.Short() || raceEnabled { // the same code runs for each, slowly
		return []byte{0x01}
	}
	return []byte{0x01, 0x20, 0x80}
}

func TestEveryFlippedByteIsNamed(t *testing.T) {
	s := newSample(t)
	var stored memstore.Contents
	s.Clone().Tamper(func(c *memstore.Contents) { stored = *c })
	for _, mask := range masks() {
		for _, c := range s.all() {
			t.Run(fmt.Sprintf("%02x/%d.%s", mask, c.Version, c.ID), func(t *testing.T) {
				t.Parallel()
				s.withstand(t, flips(c, *stored.Objects[c.ObjectName()], mask))
			})
		}
		t.Run(fmt.Sprintf("%02x/head", mask), func(t *testing.T) {
			t.Parallel()
			s.withstand(t, headFlips(s.id, stored.Heads[head.ObjectName(s.id)], mask))
		})
	}
}

// withstand does each damage to a copy. Verify must name what is hurt and
// nothing else, and no reader may go past it.
func (s sample) withstand(t *testing.T, all []damage) {
	require.NotEmpty(t, all)
	for _, d := range all {
		hurt := *s.bench
		hurt.t, hurt.Store = t, s.Clone()
		hurt.Tamper(d.do)
		named := map[changeset.Ref]bool{}
		r := hurt.verify()
		for _, p := range r.Problems {
			named[p.Ref] = true
			if p.Missing != (changeset.Ref{}) {
				named[p.Missing] = true
				delete(named, p.Ref) // it only names the missing changeset
			}
		}
		for _, ref := range d.hurt {
			require.True(t, named[ref], "%s: not named: %s: %v", d.name, ref, r.Problems)
		}
		require.Len(t, named, len(d.hurt), "%s: others are named: %v", d.name, r.Problems)
		s.readNothingElse(t, hurt.Store, d)
	}
}

// readNothingElse reads a hurt chain: what is read is what was written, up to
// an error or to the end.
func (s sample) readNothingElse(t *testing.T, m *memstore.Store, d damage) {
	r, err := read(t, m, s.id)
	if err != nil {
		require.NotEqual(t, s.lost.Ref, d.hurt[0], "%s: an orphan is in nobody's way: %v", d.name, err)
		return
	}
	backward := slices.Clone(s.chain)
	slices.Reverse(backward)
	s.readExactly(t, d, r.All(t.Context()), s.chain, true)
	s.readExactly(t, d, r.Backward(t.Context()), backward, true)
	s.readExactly(t, d, r.Changesets(t.Context(), ropewalk.Range{Last: 3}), s.chain[:4], true)
	s.readExactly(t, d, r.Changesets(t.Context(), ropewalk.Range{First: 2, Last: 5}), s.chain[2:], false)
}

// readExactly compares what a sequence yields. The header of the first of a
// range, whose parent is not read, is not proved.
func (s sample) readExactly(t *testing.T, d damage, got iter.Seq2[changeset.Changeset, error], want []changeset.Changeset, proved bool) {
	read, err := ropewalk.Collect(got)
	if err == nil {
		require.Len(t, read, len(want), d.name)
	}
	require.False(t, err != nil && d.hurt[0] == s.lost.Ref && len(d.hurt) == 1, "%s: an orphan is in nobody's way: %v", d.name, err)
	for i, c := range read {
		require.Equal(t, want[i].Ref, c.Ref, d.name)
		require.Equal(t, string(want[i].Content), string(c.Content), d.name)
		if proved || i > 0 {
			require.True(t, reflect.DeepEqual(want[i].Header, c.Header), "%s: read past it: %v", d.name, c.Header)
		}
	}
}

func TestEveryMovedObjectIsNamed(t *testing.T) {
	s := newSample(t)
	all := s.all()
	var moves []damage
	for i, a := range all {
		for _, b := range all[i+1:] {
			moves = append(moves, damage{"exchanged", []changeset.Ref{a.Ref, b.Ref}, func(m *memstore.Contents) {
				m.Objects[a.ObjectName()], m.Objects[b.ObjectName()] = m.Objects[b.ObjectName()], m.Objects[a.ObjectName()]
			}})
		}
		names := []changeset.Ref{
			{AggregateID: s.id, Version: a.Version, ID: changeset.NewID()},
			{AggregateID: s.id, Version: a.Version + 1, ID: a.ID},
			{AggregateID: s.id, Version: 1000, ID: a.ID},
		}
		for _, b := range all {
			if a.Ref != b.Ref {
				names = append(names, b.Ref)
			}
		}
		for _, name := range names {
			moves = append(moves, damage{"copied", []changeset.Ref{name}, func(m *memstore.Contents) {
				m.Objects[name.ObjectName()] = m.Objects[a.ObjectName()]
			}})
		}
	}
	s.withstand(t, moves)
}

func TestEveryRemovedObjectIsNamed(t *testing.T) {
	s := newSample(t)
	remove := func(refs ...changeset.Ref) damage {
		return damage{"removed", refs, func(m *memstore.Contents) {
			for _, ref := range refs {
				delete(m.Objects, ref.ObjectName())
			}
		}}
	}
	var all []damage
	for i, a := range s.chain {
		all = append(all, remove(a.Ref))
		for _, b := range s.chain[i+1:] {
			all = append(all, remove(a.Ref, b.Ref))
		}
	}
	all = append(all, damage{"head removed", []changeset.Ref{{AggregateID: s.id}}, func(m *memstore.Contents) { clear(m.Heads) }})
	s.withstand(t, all)
}

func TestARemovedOrphanCannotBeNoticed(t *testing.T) {
	s := newSample(t)
	require.Equal(t, 1, s.verify().Lost)
	s.Tamper(remove(s.lost.Ref))
	r := s.verify()
	require.Empty(t, r.Problems)
	require.Zero(t, r.Lost)
}

func remove(ref changeset.Ref) func(*memstore.Contents) {
	return func(m *memstore.Contents) { delete(m.Objects, ref.ObjectName()) }
}
