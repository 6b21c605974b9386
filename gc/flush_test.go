package gc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

func TestFlush(t *testing.T) {
	for _, n := range []struct{ old, packed int }{{0, 1}, {0, 3}, {2, 1}, {2, 9}} {
		p, _ := mixed(t, n.old, n.packed)
		h := p.head()
		texts := p.requireWhole(true).texts()
		tip, err := h.TipChangesets()
		require.NoError(t, err)
		require.NotEmpty(t, tip)

		counts := meter.New(0)
		f := p.metered(counts).flush()
		require.Equal(t, meter.Counts{Load: 1, Put: 1, Swap: 1}, counts.Count())
		stored := p.head()
		require.Equal(t, gc.Flushed{AggregateID: p.id, Head: stored, Changesets: int64(len(tip)), Objects: gc.Count{Objects: 1, Bytes: int64(len(h.Tip))}}, f)
		require.Empty(t, stored.Tip)
		require.Equal(t, h.Revision+1, stored.Revision)
		require.Equal(t, h.Ref, stored.Ref)
		e, ok := stored.Index.Latest()
		require.True(t, ok)
		require.NotEqual(t, h.ID, e.ID, "an object of changesets that another append created has an ID of its own")
		require.Equal(t, texts, p.requireWhole(true).texts())

		counts = meter.New(0)
		require.Equal(t, gc.Flushed{AggregateID: p.id, Head: stored}, p.metered(counts).flush(), "nothing to move")
		require.Equal(t, meter.Counts{Load: 1}, counts.Count())
		p.grow(4)
		p.requireWhole(true)
	}
}

func TestFlushCompresses(t *testing.T) {
	p, _ := inMemory(t)
	p = p.packed()
	_, err := p.chain().Append(t.Context(), head.Head{}, draft(strings.Repeat("x", tipSize-300)))
	require.NoError(t, err)
	f, err := p.collector(gc.Options{Compress: true}).Flush(t.Context(), p.id)
	require.NoError(t, err)
	require.Less(t, f.Objects.Bytes, int64(tipSize-300))
	p.requireWhole(true)
}

func TestWhatCannotBeFlushed(t *testing.T) {
	p, m := inMemory(t)
	collector := p.collector(gc.Options{})
	_, err := collector.Flush(t.Context(), p.id)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.EqualError(t, err, `flush "order-1": not found`)
	h := p.grow(2)
	require.Equal(t, gc.Flushed{AggregateID: p.id, Head: h}, p.flush(), "a chain of format 1 has no tip")
	for _, id := range []string{"", "$snapshots-x", "$feed"} {
		_, err = collector.Flush(t.Context(), id)
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID, id)
	}
	newer := h
	newer.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 3}
	record, err := head.EncodeJSON(newer)
	require.NoError(t, err)
	m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
	_, err = collector.Flush(t.Context(), p.id)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}

// A writer meets a flush as a fence: its append is built again, after the object.
func TestAWriterMeetsAFlushAsAFence(t *testing.T) {
	for name, content := range map[string]string{"into the tip": "a", "as objects": strings.Repeat("a", tipSize)} {
		t.Run(name, func(t *testing.T) {
			p, _ := mixed(t, 1, 2)
			var script faults.Script
			script.On(faults.Swap, 1, faults.Fault{Before: func() { require.EqualValues(t, 2, p.flush().Changesets) }})
			_, err := p.under(&script).chain().Append(t.Context(), p.head(), draft(content))
			require.NoError(t, err)
			require.Equal(t, content, p.requireWhole(false).texts()[3])
			_, err = p.collect()
			require.NoError(t, err)
			p.requireWhole(true)
		})
	}
}

// A flush that lost to an append begins again, with another object, unless the append has
// moved the tip.
func TestAnAppendComesBeforeAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			contents []string
			puts     int
			moved    int64
			tip      bool
		}{
			"into the tip":                     {[]string{"a"}, 2, 3, false},
			"as objects":                       {[]string{strings.Repeat("a", tipSize)}, 1, 0, false},
			"as objects, and one into the tip": {[]string{strings.Repeat("a", tipSize), "b"}, 1, 0, true},
		} {
			p, _ := mixed(t, 1, 2)
			var script faults.Script
			script.On(faults.Swap, 1, faults.Fault{Before: func() {
				for _, content := range test.contents {
					_, err := p.chain().Append(t.Context(), p.head(), draft(content))
					require.NoError(t, err)
				}
			}})
			f := p.under(&script).flush()
			require.Equal(t, test.puts, script.Calls(faults.Put), name)
			require.Equal(t, test.moved, f.Changesets, name)
			require.Equal(t, test.tip, p.head().Tip != "", "what was committed after the call may stay in the tip")
			r, err := p.collect()
			require.NoError(t, err)
			require.EqualValues(t, 1, r.Deleted.Objects)
			require.Len(t, p.requireWhole(true).changesets, 3+len(test.contents))
		}
	})
}

// A flush gives up where other swaps come first again and again, and an aggregate that
// is erased meanwhile has nothing to flush.
func TestAFlushThatAlwaysLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := mixed(t, 1, 2)
		var script faults.Script
		script.Every(faults.Swap, faults.Fault{Before: func() { p.swap(p.head(), link.Fence(p.head())) }})
		_, err := p.under(&script).collector(gc.Options{}).Flush(t.Context(), p.id)
		require.ErrorContains(t, err, "20 times another swap came first")
		r, err := p.collect()
		require.NoError(t, err)
		require.EqualValues(t, 20, r.Deleted.Objects)
		require.Len(t, p.requireWhole(true).changesets, 3)

		script = faults.Script{}
		script.On(faults.Swap, 1, faults.Fault{Before: func() {
			_, err := p.erase()
			require.NoError(t, err)
		}})
		f, err := p.under(&script).collector(gc.Options{}).Flush(t.Context(), p.id)
		require.NoError(t, err)
		require.Equal(t, head.Erased, f.Head.State)
		require.Zero(t, f.Changesets)
	})
}

func TestTheHeadGoesBackDuringAFlush(t *testing.T) {
	p, m := mixed(t, 1, 1)
	earlier, err := head.EncodeJSON(p.head())
	require.NoError(t, err)
	p.grow(1)
	var script faults.Script
	script.On(faults.Swap, 1, faults.Fault{Before: func() {
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = earlier })
	}})
	_, err = p.under(&script).collector(gc.Options{}).Flush(t.Context(), p.id)
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
}

// puts records the objects that are put.
type puts struct {
	gc.Changesets
	mu  sync.Mutex
	ids map[changeset.ID]int
}

func (s *puts) Put(ctx context.Context, c changeset.Changeset) error {
	s.mu.Lock()
	s.ids[c.ID]++
	s.mu.Unlock()
	return s.Changesets.Put(ctx, c)
}

// If any request of a flush goes wrong, the chain is whole, repeating the flush moves the
// tip, no object ID is put twice, and a collection leaves the chain alone.
func TestFlushUnderFaults(t *testing.T) {
	eachStepOf(t, []faults.Op{faults.Load, faults.Put, faults.Swap}, func(t *testing.T, op faults.Op, n int, f faults.Fault) bool {
		p, _ := mixed(t, 2, 2)
		texts := p.requireWhole(true).texts()
		var script faults.Script
		script.On(op, n, f)
		reached := false
		faulty := p.under(&script)
		put := &puts{Changesets: faulty.changesets, ids: map[changeset.ID]int{}}
		faulty.changesets = put
		untilDone(t, &script, func(ctx context.Context) error {
			_, err := faulty.collector(gc.Options{}).Flush(ctx, p.id)
			reached = reached || script.Calls(op) >= n
			require.Equal(t, texts, p.requireWhole(false).texts())
			return err
		})
		require.Empty(t, p.head().Tip, "%s %d %s", op, n, f.Kind)
		script.Release()
		time.Sleep(3 * time.Minute)
		for id, times := range put.ids {
			require.Equal(t, 1, times, id)
		}
		_, err := p.collect()
		require.NoError(t, err)
		require.Equal(t, texts, p.requireWhole(true).texts())
		return reached
	})
}

func TestFlushAll(t *testing.T) {
	p, m := inMemory(t)
	for i := range 12 {
		other := p.of(fmt.Sprintf("order-%02d", i))
		if i%3 > 0 {
			other = other.packed()
		}
		other.grow(2)
	}
	p.packed().of(reserved.Register).grow(1)
	erased := p.packed().of("order-20")
	erased.grow(1)
	_, err := erased.erase()
	require.NoError(t, err)
	m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("order-07")][0] = '[' })
	collector := p.collector(gc.Options{Parallel: 4})
	flushAll := func() (ids []string) {
		for f, err := range collector.FlushAll(t.Context()) {
			require.NoError(t, err)
			ids = append(ids, f.AggregateID)
			if f.AggregateID == "order-07" {
				require.ErrorAs(t, f.Err, new(*changeset.CorruptError))
				continue
			}
			require.NoError(t, f.Err)
			require.Positive(t, f.Changesets)
			require.Empty(t, p.of(f.AggregateID).head().Tip)
		}
		return ids
	}
	require.Equal(t, []string{"$feed", "order-01", "order-02", "order-04", "order-05", "order-07", "order-08", "order-10", "order-11"}, flushAll())
	require.Equal(t, []string{"order-07"}, flushAll())
	for _, err := range collector.FlushAll(ended(t)) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// The flush of one aggregate that fails does not end the others.
func TestFlushAllGoesOn(t *testing.T) {
	p, _ := inMemory(t)
	for _, id := range []string{"a", "b", "c"} {
		p.of(id).packed().grow(1)
	}
	var script faults.Script
	script.On(faults.Put, 1, faults.Fault{Kind: faults.Dropped})
	failed, moved := 0, int64(0)
	for f, err := range p.under(&script).collector(gc.Options{Parallel: 1}).FlushAll(t.Context()) {
		require.NoError(t, err)
		if moved += f.Changesets; f.Err != nil {
			require.True(t, errors.Is(f.Err, faults.ErrInjected))
			require.ErrorContains(t, f.Err, `flush "`)
			failed++
		}
	}
	require.Equal(t, 1, failed)
	require.EqualValues(t, 2, moved)
}

// TestAStaleWriterAfterAFlushAndARestore is the trace in which two records differ in
// nothing but where the changesets are: a flush, a head that is restored to before it, and
// fences up to the same revision. The object of the flush is lost and deleted. A swap of the
// writer that still holds the record of the flush must not bring it back.
func TestAStaleWriterAfterAFlushAndARestore(t *testing.T) {
	p, m := mixed(t, 1, 3)
	record, err := head.EncodeJSON(p.head())
	require.NoError(t, err)
	stale := p.flush().Head
	texts := p.requireWhole(true).texts()

	m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
	restored := p.head()
	for restored.Revision < stale.Revision {
		restored = p.swap(restored, link.Fence(restored))
	}
	require.Equal(t, stale.Revision, restored.Revision)
	require.Equal(t, stale.Ref, restored.Ref)
	require.Equal(t, stale.Digest, restored.Digest)
	require.False(t, stale.SameRecord(restored))
	r, err := p.collect()
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Deleted.Objects, "the flush's object is lost")

	_, err = p.heads.Swap(t.Context(), stale, link.Fence(stale))
	require.ErrorAs(t, err, new(*head.ConflictError))
	for _, content := range []string{"a", strings.Repeat("a", tipSize)} {
		_, err = p.chain().Append(t.Context(), stale, draft(content))
		require.ErrorIs(t, err, ropewalk.ErrHeadLost)
		require.Equal(t, texts, p.requireWhole(false).texts())
	}
}
