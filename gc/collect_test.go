package gc_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

func TestCleanAggregatesCostAHeadAndAListing(t *testing.T) {
	for _, n := range []int{1, 2, 17, 300} {
		p, _ := inMemory(t)
		p.grow(n)
		counts := meter.New(0)
		r, err := p.metered(counts).collect()
		require.NoError(t, err)
		require.Equal(t, meter.Counts{Load: 1, List: 1}, counts.Count(), "%d changesets", n)
		require.EqualValues(t, n, r.Seen.Objects)
		require.Zero(t, r.Collectable())
	}
}

// Each orphan costs its own metadata and a delete; its version at most the way
// down the ancestor index, which neighbours share, and its child.
func TestOrphansCostFewRequests(t *testing.T) {
	const n = 1200
	p, _ := inMemory(t)
	var heads []head.Head
	for range n {
		heads = append(heads, p.grow(1))
	}
	for _, test := range []struct {
		at   []int // versions with an orphan
		stat int
	}{
		{[]int{n - 1}, 1},       // the head's own version: the head says it all
		{[]int{n - 2}, 1 + 1},   // and the child
		{[]int{300}, 1 + 1 + 3}, // and the way: 1023, 511, 319 … at most
		{[]int{301, 303, 305}, 3*2 + 3},
	} {
		for _, version := range test.at {
			p.orphan(heads[version-1], "orphan")
		}
		counts := meter.New(0)
		r, err := p.metered(counts).collect()
		require.NoError(t, err)
		got := counts.Count()
		require.EqualValues(t, len(test.at), r.Deleted.Objects)
		require.LessOrEqual(t, got.Stat, test.stat, "orphans at %v", test.at)
		got.Stat = 0
		require.Equal(t, meter.Counts{Load: 1, List: 1, Delete: len(test.at)}, got)
	}
	p.verify()
}

func TestWhatIsCollected(t *testing.T) {
	table := map[string]struct {
		make    func(place)
		lost    int64 // collected without a fence
		pending int64 // collected after a fence
		kept    int64
	}{
		"nothing": {func(p place) { p.grow(3) }, 0, 0, 0},
		"lost to another append": {func(p place) {
			h := p.grow(2)
			p.orphan(h, "a")
			p.orphan(h, "b")
			p.grow(1)
		}, 2, 0, 0},
		"lost at the first version": {func(p place) {
			p.orphan(head.Head{}, "a")
			p.grow(3)
		}, 1, 0, 0},
		"lost above the head: a long append to a short one": {func(p place) {
			h := p.grow(1)
			p.orphan(h, "a", "b", "c")
			p.grow(1)
		}, 3, 0, 0},
		"lost to a fence": {func(p place) {
			h := p.grow(1)
			p.orphan(h, "a")
			_, err := p.heads.Swap(p.Context(), h, link.Fence(h))
			require.NoError(p, err)
		}, 1, 0, 0},
		"pending": {func(p place) {
			h := p.grow(2)
			p.orphan(h, "a", "b")
			p.orphan(h, "c")
		}, 0, 3, 0},
		"of an append whose first objects are not there": {func(p place) {
			refs := p.orphan(p.grow(2), "a", "b", "c")
			require.NoError(p, p.changesets.Delete(p.Context(), refs[0]))
		}, 0, 2, 0},
		"prepared behind a pending one": {func(p place) {
			h := p.grow(1)
			built, next, err := link.Extend(h, p.id, []changeset.Draft{draft("a")}, time.Now())
			require.NoError(p, err)
			require.NoError(p, p.changesets.Put(p.Context(), built[0]))
			p.orphan(next, "b")
		}, 0, 2, 0}, // the fence makes the second one pending, and the next fence lost
		"without a head": {func(p place) { p.orphan(head.Head{}, "a") }, 0, 0, 1},
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		test := table[name]
		t.Run(name, func(t *testing.T) {
			p, _ := inMemory(t)
			test.make(p)
			before := p.objects()
			counts := meter.New(0)
			dry, err := p.metered(counts).collector(gc.Options{Grace: -1}).Collect(t.Context(), p.id)
			require.NoError(t, err)
			require.Equal(t, before, p.objects(), "a dry run deletes nothing")
			require.Zero(t, counts.Count().Swap+counts.Count().Delete, "and changes nothing")
			require.Equal(t, test.lost, dry.Lost.Objects)
			require.Equal(t, test.pending, dry.Pending.Objects+dry.Ahead.Objects)

			r, err := p.collect()
			require.NoError(t, err)
			require.Equal(t, test.lost+test.pending, r.Lost.Objects)
			require.Equal(t, r.Lost, r.Deleted)
			require.Equal(t, test.pending > 0, r.Fenced)
			require.EqualValues(t, len(before), r.Seen.Objects)
			require.Len(t, p.objects(), len(before)-int(r.Deleted.Objects))
			left := p.verify()
			require.Zero(t, left.Lost+left.Ahead+left.Unknown)
			require.EqualValues(t, test.kept, left.Pending)

			again, err := p.collect()
			require.NoError(t, err)
			require.Zero(t, again.Deleted)
		})
	}
}

// A writer that was fenced rebuilds its append.
func TestFencedWritersBuildAnew(t *testing.T) {
	p, _ := inMemory(t)
	h := p.grow(2)
	var script faults.Script
	script.On(faults.Swap, 1, faults.Fault{Before: func() {
		r, err := p.collect()
		require.NoError(t, err)
		require.True(t, r.Fenced)
		require.EqualValues(t, 2, r.Deleted.Objects)
	}})
	got, err := p.under(&script).chain().Append(t.Context(), h, draft("a"), draft("b"))
	require.NoError(t, err)
	require.EqualValues(t, 3, got.Version)
	require.Equal(t, 4, script.Calls(faults.Put))
	require.Equal(t, 4, p.verify().Committed)
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := inMemory(t)
		h := p.grow(1)
		p.orphan(h, "old and lost")
		h = p.grow(1)
		p.orphan(h, "old and pending")
		time.Sleep(48*time.Hour - 1)
		p.orphan(h, "young and pending")
		collector := p.collector(gc.Options{Grace: 48 * time.Hour, Delete: true})
		r, err := collector.Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.Equal(t, gc.Count{Objects: 3, Bytes: 12 + 15 + 17}, r.Young)
		require.Zero(t, r.Collectable())
		require.False(t, r.Fenced)

		time.Sleep(time.Nanosecond)
		r, err = collector.Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.Equal(t, gc.Count{Objects: 2, Bytes: 12 + 15}, r.Deleted)
		require.EqualValues(t, 1, r.Young.Objects, "lost by the fence, but young")

		time.Sleep(5 * 24 * time.Hour)
		r, err = p.collector(gc.Options{Delete: true}).Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Young.Objects, "a week by default")
		time.Sleep(2 * 24 * time.Hour)
		r, err = p.collector(gc.Options{Delete: true}).Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Deleted.Objects)
		require.Len(t, p.objects(), 2)
	})
}

// An object ahead of its head is left alone for an hour; then it says that the
// head was rolled back, and nothing is deleted, not even what is lost.
func TestRolledBackHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := inMemory(t)
		p.orphan(p.grow(1), "lost")
		kept := p.grow(1)
		record, err := head.EncodeJSON(kept)
		require.NoError(t, err)
		p.grow(3)
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
		before := p.objects()

		time.Sleep(time.Hour - 1)
		r, err := p.collector(gc.Options{Grace: 24 * time.Hour, Delete: true}).Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.EqualValues(t, 4, r.Young.Objects)
		time.Sleep(time.Nanosecond)
		for _, options := range []gc.Options{{}, {Delete: true}, {Grace: -1, Delete: true}, {Grace: time.Minute}} {
			r, err := p.collector(options).Collect(t.Context(), p.id)
			require.ErrorIs(t, err, ropewalk.ErrHeadLost)
			require.ErrorContains(t, err, "rebuild-head")
			require.EqualValues(t, 2, r.Ahead.Objects)
			require.Zero(t, r.Deleted)
			require.False(t, r.Fenced)
		}
		require.Equal(t, before, p.objects())
		require.Equal(t, kept.Revision, p.head().Revision)
	})
}

// A head that has moved on since it was loaded explains objects ahead of it.
func TestTheListingMayBeNewerThanTheHead(t *testing.T) {
	p, _ := inMemory(t)
	h := p.grow(1)
	p.orphan(h, "lost to the append that comes")
	var script faults.Script
	script.On(faults.Load, 1, faults.Fault{After: func() { p.orphan(p.grow(2), "pending by then") }})
	r, err := p.under(&script).collect()
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Deleted.Objects)
	require.Equal(t, 3, p.verify().Committed)
}

// A head that goes back while it is looked at was restored at that moment: it is
// noticed where objects ahead of it explain a second look, and where the fence
// of pending ones meets it.
func TestTheHeadGoesBackMeanwhile(t *testing.T) {
	for name, later := range map[string]int{"objects are pending": 1, "objects are ahead": 2} {
		t.Run(name, func(t *testing.T) {
			p, m := inMemory(t)
			p.orphan(p.grow(1), "lost")
			earlier, err := head.EncodeJSON(p.grow(1))
			require.NoError(t, err)
			p.grow(2)
			var script faults.Script
			script.On(faults.Load, 1, faults.Fault{After: func() {
				p.grow(later)
				m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = earlier })
			}})
			r, err := p.under(&script).collect()
			require.ErrorIs(t, err, ropewalk.ErrHeadLost)
			require.ErrorContains(t, err, "was at revision 4, and is at 2")
			require.Zero(t, r.Deleted)
		})
	}
}

func TestDamage(t *testing.T) {
	// scene is a chain of 20 with an orphan at version 3 and one at 17.
	scene := func(t *testing.T) (place, *memstore.Store, []head.Head, []changeset.Ref) {
		p, m := inMemory(t)
		var heads []head.Head
		var orphans []changeset.Ref
		for v := range 20 {
			if v == 3 || v == 17 {
				orphans = append(orphans, p.orphan(heads[v-1], "orphan")...)
			}
			heads = append(heads, p.grow(1))
		}
		return p, m, heads, orphans
	}
	remove := func(ref changeset.Ref) func(*memstore.Contents) {
		return func(c *memstore.Contents) { delete(c.Objects, ref.ObjectName()) }
	}
	spoil := func(ref changeset.Ref) func(*memstore.Contents) {
		return func(c *memstore.Contents) { c.Objects[ref.ObjectName()].Metadata["digest"] = "x" }
	}
	var none gc.Count
	one := gc.Count{Objects: 1, Bytes: 6}
	t.Run("the orphan does not decode", func(t *testing.T) {
		p, m, _, orphans := scene(t)
		m.Tamper(spoil(orphans[0]))
		r, err := p.collect()
		require.NoError(t, err)
		require.Equal(t, []gc.Count{one, one, none}, []gc.Count{r.Deleted, r.Unreadable, r.Unknown})
	})
	t.Run("the orphan is another one's", func(t *testing.T) {
		p, m, _, orphans := scene(t)
		m.Tamper(func(c *memstore.Contents) { c.Objects[orphans[0].ObjectName()] = c.Objects[orphans[1].ObjectName()] })
		r, err := p.collect()
		require.NoError(t, err)
		require.Equal(t, []gc.Count{one, one, none}, []gc.Count{r.Deleted, r.Unreadable, r.Unknown})
	})
	t.Run("the committed one is missing", func(t *testing.T) {
		p, m, heads, orphans := scene(t)
		m.Tamper(remove(heads[3].Ref))
		p.orphan(heads[2], "another orphan")
		r, err := p.collect()
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Unknown.Objects)
		require.Contains(t, p.objects(), orphans[0])
	})
	t.Run("the committed one is missing and the orphan is alone", func(t *testing.T) {
		p, m, heads, orphans := scene(t)
		m.Tamper(remove(heads[3].Ref))
		r, err := p.collect()
		require.NoError(t, err)
		require.Equal(t, one, r.Deleted)
		require.Contains(t, p.objects(), orphans[0])
	})
	for name, damage := range map[string]func(changeset.Ref) func(*memstore.Contents){"missing": remove, "corrupt": spoil} {
		t.Run("the way down is "+name, func(t *testing.T) {
			p, m, heads, orphans := scene(t)
			m.Tamper(damage(heads[15].Ref))
			r, err := p.collect()
			require.NoError(t, err)
			require.EqualValues(t, 2, r.Unknown.Objects, "the orphan, and what is committed beside it")
			require.Equal(t, one, r.Deleted)
			require.Contains(t, p.objects(), orphans[0])
		})
	}
	t.Run("an index names the orphan", func(t *testing.T) {
		p, m, heads, orphans := scene(t)
		forge(t, m, heads[15].Ref, heads[3].ID, orphans[0].ID)
		r, err := p.collect()
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Unknown.Objects)
		require.Contains(t, p.objects(), heads[3].Ref)
	})
	t.Run("the head does not decode", func(t *testing.T) {
		p, m, _, _ := scene(t)
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = []byte("{}") })
		_, err := p.collect()
		require.ErrorAs(t, err, new(*changeset.CorruptError))
	})
	t.Run("the head wants newer writers", func(t *testing.T) {
		p, m, heads, _ := scene(t)
		newer := heads[19]
		newer.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 3}
		record, err := head.EncodeJSON(newer)
		require.NoError(t, err)
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
		r, err := p.collect()
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
		require.Zero(t, r.Deleted)
	})
}

// forge exchanges an ID in the ancestor index of a stored changeset.
func forge(t *testing.T, m *memstore.Store, ref changeset.Ref, old, id changeset.ID) {
	info, err := m.Stat(t.Context(), ref)
	require.NoError(t, err)
	packed := info.Ancestors.Packed()
	at := slices.IndexFunc(packed, func(byte) bool { return false })
	for i := range len(packed) - len(old) {
		if changeset.ID(packed[i:i+len(old)]) == old {
			at = i
		}
	}
	require.GreaterOrEqual(t, at, 0)
	copy(packed[at:], id[:])
	h := info.Header
	h.Ancestors, err = changeset.ParseIndex(ref.Version, packed)
	require.NoError(t, err)
	metadata, err := changeset.Encode(h, changeset.Hyphenated)
	require.NoError(t, err)
	m.Tamper(func(c *memstore.Contents) { c.Objects[ref.ObjectName()].Metadata = metadata })
}

func TestIDsThatCannotBeCollected(t *testing.T) {
	p, _ := inMemory(t)
	for _, id := range []string{"", "$snapshots-x", "a\x00"} {
		_, err := p.of(id).collect()
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID, "%q", id)
		_, err = p.collector(gc.Options{}).Erase(t.Context(), id)
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID, "%q", id)
	}
	_, err := p.of("nobody").collect()
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.EqualError(t, err, `collect "nobody": not found`)
}

func TestCollectAll(t *testing.T) {
	p, m := inMemory(t)
	var want []string
	for i := range 30 {
		other := p.of(fmt.Sprintf("order-%02d", i))
		other.orphan(other.grow(1), "lost")
		other.grow(1)
		want = append(want, other.id)
	}
	p.of("headless").orphan(head.Head{}, "first")
	p.of(reserved.Snapshots("order-01")).orphan(head.Head{}, "a snapshot")
	m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("order-07")][0] = '[' })
	collector := p.collector(gc.Options{Grace: -1, Delete: true, Parallel: 4})

	var got []string
	for r, err := range collector.CollectAll(t.Context(), "order-04") {
		require.NoError(t, err)
		got = append(got, r.AggregateID)
	}
	require.Equal(t, want[5:], got, "in order, behind the last one")
	got = nil
	for r, err := range collector.CollectAll(t.Context(), "") {
		require.NoError(t, err)
		got = append(got, r.AggregateID)
		switch i := slices.Index(want, r.AggregateID); {
		case r.AggregateID == "order-07":
			require.ErrorAs(t, r.Err, new(*changeset.CorruptError))
		case i < 0:
			require.Equal(t, "headless", r.AggregateID)
			require.False(t, r.Head.Exists())
			require.EqualValues(t, 1, r.Seen.Objects)
		default:
			require.NoError(t, r.Err)
			require.Equal(t, i < 5, r.Deleted.Objects == 1, r.AggregateID)
		}
	}
	require.Equal(t, append([]string{"headless"}, want...), got)
	require.Len(t, p.of(reserved.Snapshots("order-01")).objects(), 1, "the snapshots of a chain that lives")
}

// Aggregates that were collected before the context ended are reported even if
// an earlier one is still under way then, and so is the work on that one.
func TestCollectAllReportsTheWorkBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := inMemory(t)
		for _, id := range []string{"slow", "tail"} {
			other := p.of(id)
			first := other.grow(1)
			other.orphan(first, "one")
			other.orphan(first, "two")
			other.grow(1)
		}
		var script faults.Script
		script.On(faults.Delete, 2, faults.Fault{Kind: faults.HangBefore})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		deleted, unfinished := int64(0), 0
		ended := error(nil)
		for r, err := range p.under(&script).collector(gc.Options{Grace: -1, Delete: true, Parallel: 2}).CollectAll(ctx, "") {
			if ended = err; err != nil {
				continue
			}
			deleted += r.Deleted.Objects
			if r.Err != nil {
				require.ErrorIs(t, r.Err, context.Canceled)
				unfinished++
			}
		}
		require.ErrorIs(t, ended, context.Canceled)
		require.EqualValues(t, 3, deleted)
		require.Equal(t, 1, unfinished)
	})
}

func TestCollectAllEnds(t *testing.T) {
	p, _ := inMemory(t)
	for i := range 50 {
		p.of(fmt.Sprint(i)).grow(1)
	}
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left over
		p := p.metered(meter.New(time.Second))
		for range p.collector(gc.Options{Parallel: 4}).CollectAll(t.Context(), "") {
			break
		}
		for _, err := range p.collector(gc.Options{Parallel: 4}).CollectAll(ended(t), "") {
			require.ErrorContains(t, err, "canceled")
		}
	})
}

// timeless is a storage that does not say when an object was written.
type timeless struct{ gc.Changesets }

func (s timeless) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		for o, err := range s.Changesets.Objects(ctx, aggregateID) {
			o.LastModified = time.Time{}
			if !yield(o, err) {
				return
			}
		}
	}
}

// An object without a time is not known to be old, and a writer that is ahead
// of the head is not known to be late.
func TestObjectsWithoutATimeAreYoung(t *testing.T) {
	p, _ := inMemory(t)
	h := p.grow(1)
	p.orphan(h, "lost")
	p.grow(1)
	p.changesets = timeless{p.changesets}
	r, err := p.collector(gc.Options{Delete: true}).Collect(t.Context(), p.id)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Young.Objects)
	require.Zero(t, r.Deleted.Objects)
	r, err = p.collector(gc.Options{Grace: -1, Delete: true}).Collect(t.Context(), p.id)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Deleted.Objects, "a negative grace asks for no time")
}
