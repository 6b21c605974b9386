//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// damaged is a chain in a storage that is hurt, read, and healed again.
type damaged struct {
	changesets inspect.Changesets
	heads      head.Store
	vault      vault
	id         string
	chain      []changeset.Changeset
	lost       changeset.Changeset
	head       head.Head
	oldHead    item // as it was after the first append
	random     *rand.Rand
}

// damage is one change made directly in the storage, and the changeset that
// Verify has to name; a zero ID for the head.
type damage struct {
	name     string
	hurt     changeset.Ref
	do, heal func(testing.TB)
}

// newDamaged builds a chain of appends of one to three changesets, with
// everything that a header can hold, and one lost orphan.
func newDamaged(t testing.TB, changesets inspect.Changesets, heads head.Store, v vault, appends int) *damaged {
	d := &damaged{changesets: changesets, heads: heads, vault: v, id: fmt.Sprintf("case/%d é", appends), random: rand.New(rand.NewPCG(1, uint64(appends)))}
	for i := range appends {
		drafts := make([]changeset.Draft, 1+i%3)
		for j := range drafts {
			drafts[j] = changeset.Draft{Content: fmt.Appendf(nil, "content %d of append %d", j, i), ContentType: "text/plain", Metadata: map[string]string{"who": "al ice"}}
		}
		drafts[0].CommandID = fmt.Sprintf("command-%d", i)
		if i == appends-1 {
			d.lost = d.put(t, drafts[:1])[0]
		}
		d.chain = append(d.chain, d.put(t, drafts)...)
		next := link.Next(d.head, d.chain[len(d.chain)-1].Header)
		var err error
		d.head, err = heads.Swap(t.Context(), d.head, next)
		require.NoError(t, err)
		if i == 0 {
			d.oldHead = v.head(t, d.id)
		}
	}
	return d
}

func (d *damaged) put(t testing.TB, drafts []changeset.Draft) []changeset.Changeset {
	t.Helper()
	built, _, err := link.Extend(d.head, d.id, drafts, time.Now())
	require.NoError(t, err)
	for _, c := range built {
		require.NoError(t, d.changesets.Put(t.Context(), c))
	}
	return built
}

// change is the damage that makes another item of the changeset's object.
func (d *damaged) change(t testing.TB, c changeset.Changeset, what string, to func(*item)) damage {
	name := c.Ref.ObjectName()
	was := d.vault.object(t, name)
	other := was.clone()
	to(&other)
	return damage{
		fmt.Sprintf("%s of %d", what, c.Version), c.Ref,
		func(t testing.TB) { d.vault.putObject(t, name, other) },
		func(t testing.TB) { d.vault.putObject(t, name, was) },
	}
}

// flipped returns another text: one character of it is exchanged.
func flipped(s string, at int) string {
	other := byte('0')
	if s[at] == other {
		other = '1'
	}
	return s[:at] + string(other) + s[at+1:]
}

// ofObject returns every kind of damage to a changeset's object; flips at many
// places of everything, or at one of each.
func (d *damaged) ofObject(t testing.TB, c changeset.Changeset, many bool) (all []damage) {
	places := func(n int) []int {
		if n == 0 {
			return nil
		}
		if !many {
			return []int{d.random.IntN(n)}
		}
		return []int{0, n / 3, d.random.IntN(n), n - 1}
	}
	was := d.vault.object(t, c.Ref.ObjectName())
	for _, at := range places(len(was.body)) {
		all = append(all, d.change(t, c, fmt.Sprintf("body byte %d", at), func(i *item) { i.body[at] ^= 1 << d.random.IntN(8) }))
	}
	for _, key := range slices.Sorted(maps.Keys(was.fields)) {
		for _, at := range places(len(was.fields[key])) {
			all = append(all, d.change(t, c, fmt.Sprintf("%s byte %d", key, at), func(i *item) { i.fields[key] = flipped(i.fields[key], at) }))
		}
		all = append(all, d.change(t, c, "no "+key, func(i *item) { delete(i.fields, key) }))
	}
	all = append(all,
		d.change(t, c, "content type", func(i *item) { i.contentType = "text/html" }),
		d.change(t, c, "another key", func(i *item) { i.fields["more"] = "1" }),
		d.change(t, c, "half of the body", func(i *item) { i.body = i.body[:len(i.body)/2] }),
		d.change(t, c, "no body", func(i *item) { i.body = nil }),
		d.change(t, c, "a longer body", func(i *item) { i.body = append(i.body, 'x') }),
	)
	if c.Ref == d.lost.Ref {
		return all // its absence cannot be noticed
	}
	name := c.Ref.ObjectName()
	return append(all, damage{
		fmt.Sprintf("removed %d", c.Version), c.Ref,
		func(t testing.TB) { d.vault.removeObject(t, name) },
		func(t testing.TB) { d.vault.putObject(t, name, was) },
	})
}

// moves copies each object of some over the next one, as a stale or mixed-up
// copy would be.
func (d *damaged) moves(t testing.TB, some []changeset.Changeset) (all []damage) {
	for i, c := range some {
		from := some[(i+1)%len(some)]
		other := d.vault.object(t, from.Ref.ObjectName())
		all = append(all, d.change(t, c, fmt.Sprintf("%d in place", from.Version), func(i *item) { *i = other }))
	}
	return all
}

// ofHead returns every kind of damage to the head.
func (d *damaged) ofHead(t testing.TB) (all []damage) {
	was := d.vault.head(t, d.id)
	heal := func(t testing.TB) { d.vault.putHead(t, d.id, was) }
	add := func(what string, other item) {
		all = append(all, damage{"head: " + what, changeset.Ref{AggregateID: d.id}, func(t testing.TB) { d.vault.putHead(t, d.id, other) }, heal})
	}
	for key, value := range was.fields {
		other := was.clone()
		if other.fields[key] = flipped(value, 1+d.random.IntN(len(value)-1)); key == head.FieldRevision {
			other.fields[key] = "N1" // a higher one nothing proves wrong
		}
		if value[0] == 'B' {
			other.fields[key] = "B" + flipped(value[1:], 0)
		}
		if key == head.FieldMinReader || key == head.FieldMinWriter || key == head.FieldFormat {
			other.fields[key] = "N0"
		}
		add(key, other)
		less := was.clone()
		delete(less.fields, key)
		add("no "+key, less)
	}
	if was.body != nil {
		revision := bytes.Index(was.body, []byte(`"revision":`)) + len(`"revision":`)
		for at := range was.body {
			other := was.clone()
			if other.body[at] ^= 1; at < revision || at > revision+3 {
				add(fmt.Sprintf("byte %d", at), other)
			}
		}
		add("half", item{was.body[:len(was.body)/2], was.contentType, was.fields})
		add("empty", item{[]byte{}, was.contentType, was.fields})
	}
	return append(all, damage{"head removed", changeset.Ref{AggregateID: d.id}, func(t testing.TB) { d.vault.removeHead(t, d.id) }, heal})
}

// withstand does each damage: Verify names what is hurt and nothing else, and
// no reader goes past it.
func (d *damaged) withstand(t *testing.T, all []damage) {
	t.Helper()
	for _, one := range all {
		one.do(t)
		report, err := inspect.New(d.changesets, d.heads, nil).Verify(t.Context(), d.id)
		require.NoError(t, err, one.name)
		require.NotEmpty(t, report.Problems, one.name)
		for _, p := range report.Problems {
			require.True(t, p.Ref == one.hurt || p.Missing == one.hurt, "%s: %s", one.name, p)
		}
		d.readNothingElse(t, one)
		one.heal(t)
	}
	report, err := inspect.New(d.changesets, d.heads, nil).Verify(t.Context(), d.id)
	require.NoError(t, err)
	require.Empty(t, report.Problems, "all is healed")
	t.Logf("%d ways of damage", len(all))
}

func (d *damaged) readNothingElse(t *testing.T, one damage) {
	t.Helper()
	r, err := ropewalk.New(d.changesets, d.heads, nil).Chain(d.id).Reader(t.Context())
	if err != nil {
		require.Zero(t, one.hurt.ID, "%s: %v", one.name, err)
		return
	}
	backward := slices.Clone(d.chain)
	slices.Reverse(backward)
	for want, got := range map[*[]changeset.Changeset]func(context.Context) ([]changeset.Changeset, error){
		&d.chain:  func(ctx context.Context) ([]changeset.Changeset, error) { return ropewalk.Collect(r.All(ctx)) },
		&backward: func(ctx context.Context) ([]changeset.Changeset, error) { return ropewalk.Collect(r.Backward(ctx)) },
	} {
		read, err := got(t.Context())
		require.Equal(t, one.hurt == d.lost.Ref, err == nil, "%s: an orphan alone is in nobody's way: %v", one.name, err)
		for i, c := range read {
			require.True(t, reflect.DeepEqual((*want)[i], c), "%s: read past it: %s", one.name, c.Ref)
		}
	}
}

// rollBack puts an earlier head in place of the present one. Changesets built on
// revisions that it has not reached reveal this, and so does a kept digest.
func (d *damaged) rollBack(t *testing.T) {
	t.Helper()
	was := d.vault.head(t, d.id)
	d.vault.putHead(t, d.id, d.oldHead)
	in := inspect.New(d.changesets, d.heads, nil)
	report, err := in.VerifyDigest(t.Context(), d.id, d.head.Digest)
	require.NoError(t, err)
	require.Positive(t, report.Ahead)
	require.Len(t, report.Problems, 1)
	require.Contains(t, report.Problems[0].Reason, "no changeset of its chain has the digest")
	_, err = ropewalk.New(d.changesets, d.heads, nil).Chain(d.id).Append(t.Context(), d.head, changeset.Draft{})
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	d.vault.putHead(t, d.id, was)
}

func TestCorruptionIsFoundOverClouds(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		place := c.open(t)
		changesets, heads := place.stores(t, direct)
		d := newDamaged(t, changesets.(inspect.Changesets), heads, place.(interface{ vault() vault }).vault(), 3)
		var all []damage
		for _, c := range []changeset.Changeset{d.lost, d.chain[2]} {
			all = append(all, d.ofObject(t, c, false)...)
		}
		all = append(all, d.some(t, 12)...)
		ofHead := d.ofHead(t)
		d.random.Shuffle(len(ofHead), func(i, j int) { ofHead[i], ofHead[j] = ofHead[j], ofHead[i] })
		all = append(all, ofHead[:min(20, len(ofHead))]...)
		d.withstand(t, append(all, d.moves(t, d.chain)...))
		d.rollBack(t)

		large := newDamaged(t, changesets.(inspect.Changesets), heads, d.vault, 30)
		large.withstand(t, large.some(t, 4))
		large.rollBack(t)
	})
}

// some returns ways of damage to objects drawn at random.
func (d *damaged) some(t testing.TB, n int) (all []damage) {
	for range n {
		c := d.chain[d.random.IntN(len(d.chain))]
		ways := d.ofObject(t, c, false)
		all = append(all, ways[d.random.IntN(len(ways))])
	}
	return all
}

// SQLite is near enough for many places. Package inspect flips every byte, over memory.
func TestCorruptionIsFoundInSQLite(t *testing.T) {
	t.Parallel()
	store, v, _ := newSQLite(t)
	d := newDamaged(t, store, store, v, 3)
	var all []damage
	for i, c := range append([]changeset.Changeset{d.lost}, d.chain...) {
		all = append(all, d.ofObject(t, c, i%3 == 0)...)
	}
	all = append(all, d.ofHead(t)...)
	d.withstand(t, append(all, d.moves(t, d.chain)...))
	d.rollBack(t)

	large := newDamaged(t, store, store, v, 100)
	large.withstand(t, large.some(t, 15))
	large.rollBack(t)
}
