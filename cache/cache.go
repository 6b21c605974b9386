// Package cache keeps changesets that were read before: in memory, and if
// wanted in a folder on disk. It stands before any [changeset.Store]:
//
//	cached, err := cache.New(objects, &cache.Options{Dir: "/var/cache/orders"})
//	store := ropewalk.New(cached, heads, nil)
//
// All readers of a store share one cache. Nothing in it is ever out of date,
// since changesets never change, and a reader of a chain loads its head first,
// from the storage. A missing changeset is not remembered as missing. Readers
// that miss the same changeset at the same time share one request.
//
// Files on disk are checked when they are read: a file that does not decode to
// the letter, or whose content does not match its SHA-256, is deleted and read
// again from the storage. Anything but a regular file is treated the same way.
// The folder may be deleted at any time.
//
// # Erasure
//
// A chain that was erased can no longer be read, since its head says so; but a
// reader at an older head, and the folder on disk, still have what is in the
// cache. [Cache.Forget] removes an aggregate from the cache. Call it in every
// process that has one; a cache does not learn what another process erases.
package cache

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"ropewalk/changeset"
	"ropewalk/internal/admission"
)

// Options are the settings of a [Cache]. Zero values stand for the defaults.
type Options struct {
	// Bytes is how much memory the changesets in the cache may take, about;
	// 16 MiB by default. Less than 0 keeps nothing in memory. With what the
	// garbage collector has not yet freed, the process takes about twice that.
	Bytes int64
	// Dir is a folder for this cache alone, which is made if it is missing. By
	// default nothing is kept on disk. It should not be shared by processes at
	// the same time: that does no harm, but each of them counts its own bytes.
	// On Unix it must belong to this process's user, and no other user may have
	// write access to it.
	Dir string
	// DirBytes is how many bytes the files in Dir may have, 1 GiB by default.
	DirBytes int64
	// Logger receives what goes wrong with the folder, which fails no read. By
	// default nothing is logged.
	Logger *slog.Logger
}

// Stats are numbers since a cache was made.
type Stats struct {
	// Memory and Disk count the changesets and headers that came from there.
	Memory, Disk int64
	// Misses count those that had to be asked for.
	Misses int64
}

// Cache is a [changeset.Decorator]: a store in front of another store, with the
// optional interfaces of that store. It is safe for concurrent use and needs no
// closing. The cache does not keep what is put: only a changeset that was read
// is known to be what is stored.
type Cache struct {
	changeset.PassThrough
	memory  *otter.Cache[key, entry] // nil where it keeps nothing
	disk    *disk                    // nil where it keeps nothing
	flights flights
	epoch   atomic.Int64 // counts what was forgotten

	fromMemory, fromDisk, misses atomic.Int64
}

var _ changeset.Decorator = (*Cache)(nil)

// key names what is kept: a changeset, or what Stat returns for it.
type key struct {
	changeset.Ref
	info bool
}

// entry is a changeset, or its header and time.
type entry struct {
	changeset.Changeset
	modified time.Time
}

// overhead is what an entry takes beside its content: about what the largest
// header takes.
const overhead = 2 << 10

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Bytes = cmp.Or(out.Bytes, 16<<20)
	out.DirBytes = cmp.Or(max(out.DirBytes, 0), 1<<30)
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// New returns a cache before the store. It reads the names in the folder, if
// one is given. It fails if it cannot make or read the folder, or if other users
// can write to it. Nil options stand for the defaults.
func New(inner changeset.Store, options *Options) (*Cache, error) {
	o := options.withDefaults()
	c := &Cache{PassThrough: changeset.NewPassThrough(inner)}
	var err error
	if o.Bytes > 0 {
		c.memory, err = otter.New(&otter.Options[key, entry]{
			MaximumWeight: uint64(o.Bytes),
			Weigher:       func(_ key, e entry) uint32 { return uint32(len(e.Body)) + overhead },
			Executor:      func(work func()) { work() }, // no goroutines of its own
		})
	}
	if err == nil && o.Dir != "" {
		c.disk, err = openDisk(o.Dir, o.DirBytes, o.Logger)
	}
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, nil
}

// Stats returns how often the cache has helped.
func (c *Cache) Stats() Stats {
	return Stats{Memory: c.fromMemory.Load(), Disk: c.fromDisk.Load(), Misses: c.misses.Load()}
}

// Get returns the changeset from the cache, or from the store, whose errors it
// returns. Only content that matches its SHA-256 is kept.
func (c *Cache) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	for {
		if err := ctx.Err(); err != nil {
			return changeset.Changeset{}, err
		}
		if kept, ok := c.recall(ref); ok {
			return admit(kept, admission)
		}
		f, leads := c.flights.join(ref)
		if leads {
			return c.lead(ctx, ref, f, admission)
		}
		select {
		case <-ctx.Done():
			return changeset.Changeset{}, ctx.Err()
		case <-f.done:
		}
		switch {
		case f.alone: // its end was the other caller's own matter
		case f.err != nil:
			return changeset.Changeset{}, f.err
		default:
			return admit(f.got, admission)
		}
	}
}

// lead reads a changeset for all who wait for it.
func (c *Cache) lead(ctx context.Context, ref changeset.Ref, f *flight, admit changeset.Admission) (changeset.Changeset, error) {
	once, refused := admission.Once(admit)
	got, err := c.read(ctx, ref, once)
	f.got, f.err, f.alone = got, err, err != nil && (refused() || ctx.Err() != nil)
	if c.flights.land(ref, f) {
		got = clone(got) // the others copy what stays
	}
	return got, err
}

// read reads a changeset from disk or from the store, and keeps it.
func (c *Cache) read(ctx context.Context, ref changeset.Ref, admit changeset.Admission) (changeset.Changeset, error) {
	epoch := c.epoch.Load()
	got, found, err := c.disk.get(ctx, ref, admit)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if found {
		c.fromDisk.Add(1)
		c.remember(epoch, got)
		return got, nil
	}
	c.misses.Add(1)
	if got, err = c.PassThrough.Get(ctx, ref, admit); err == nil {
		c.keep(epoch, got)
	}
	return got, err
}

// recall returns a changeset from memory, not to be changed.
func (c *Cache) recall(ref changeset.Ref) (changeset.Changeset, bool) {
	if c.memory == nil {
		return changeset.Changeset{}, false
	}
	e, ok := c.memory.GetIfPresent(key{Ref: ref})
	if ok {
		c.fromMemory.Add(1)
	}
	return e.Changeset, ok
}

// admit returns a copy of what is kept, if there is room for it.
func admit(kept changeset.Changeset, admission changeset.Admission) (changeset.Changeset, error) {
	header := cloneHeader(kept.Header)
	if err := admission.Admit(header); err != nil {
		return changeset.Changeset{}, err
	}
	return changeset.Changeset{Header: header, Body: bytes.Clone(kept.Body)}, nil
}

func clone(c changeset.Changeset) changeset.Changeset {
	c.Header, c.Body = cloneHeader(c.Header), bytes.Clone(c.Body)
	return c
}

func cloneHeader(h changeset.Header) changeset.Header {
	h.Metadata = maps.Clone(h.Metadata)
	if h.Pack != nil {
		h.Pack = new(*h.Pack)
	}
	return h
}

// keep puts what came from the store into the cache, unless it is damaged or
// something was forgotten since the epoch.
func (c *Cache) keep(epoch int64, got changeset.Changeset) {
	if got.VerifyBody() != nil {
		return
	}
	c.remember(epoch, got)
	if c.disk != nil && c.epoch.Load() == epoch {
		c.disk.put(got)
		c.undo(epoch, got.Ref)
	}
}

func (c *Cache) remember(epoch int64, got changeset.Changeset) {
	if c.memory != nil && c.epoch.Load() == epoch {
		c.memory.SetIfAbsent(key{Ref: got.Ref}, entry{Changeset: clone(got)})
		c.undo(epoch, got.Ref)
	}
}

// undo drops what was kept while something was forgotten: perhaps that.
func (c *Cache) undo(epoch int64, ref changeset.Ref) {
	if c.epoch.Load() != epoch {
		c.drop(ref)
	}
}

func (c *Cache) drop(ref changeset.Ref) {
	if c.memory != nil {
		c.memory.Invalidate(key{Ref: ref})
		c.memory.Invalidate(key{Ref: ref, info: true})
	}
	c.disk.remove(ref)
}

// Stat returns what the store has said before, or asks it. The disk has no part in it.
func (c *Cache) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if err := ctx.Err(); err != nil {
		return changeset.Info{}, err
	}
	if c.memory == nil {
		return c.PassThrough.Stat(ctx, ref)
	}
	if e, ok := c.memory.GetIfPresent(key{ref, true}); ok {
		c.fromMemory.Add(1)
		return changeset.Info{Header: clone(e.Changeset).Header, LastModified: e.modified}, nil
	}
	epoch := c.epoch.Load()
	c.misses.Add(1)
	info, err := c.PassThrough.Stat(ctx, ref)
	if err == nil && c.epoch.Load() == epoch {
		kept := changeset.Changeset{Header: info.Header}
		c.memory.SetIfAbsent(key{ref, true}, entry{clone(kept), info.LastModified})
		c.undo(epoch, ref)
	}
	return info, err
}

// GetMany returns what is in the cache, and reads and keeps the rest by one
// request to the store.
func (c *Cache) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if err := ctx.Err(); err != nil && len(refs) > 0 {
		return nil, err
	}
	epoch := c.epoch.Load()
	var all []changeset.Changeset
	var missing []changeset.Ref
	for _, ref := range refs {
		if kept, ok := c.recall(ref); !ok {
			missing = append(missing, ref)
		} else if got, err := admit(kept, admission); err == nil {
			all = append(all, got)
		}
	}
	c.misses.Add(int64(len(missing)))
	if len(missing) == 0 {
		return all, nil
	}
	rest, err := c.PassThrough.GetMany(ctx, missing, admission)
	if err != nil {
		return nil, err
	}
	for _, got := range rest {
		if got.VerifyBody() == nil {
			c.remember(epoch, got)
		}
	}
	return append(all, rest...), nil
}
