package cache

import (
	"context"
	"errors"
	"iter"
	"os"

	"ropewalk/changeset"
)

// Unwrap returns the store that the cache wraps.
func (c *Cache) Unwrap() changeset.Store { return c.inner }

// Put stores the changeset in the wrapped store. The cache does not keep it:
// only a changeset that was read is known to be what is stored.
func (c *Cache) Put(ctx context.Context, cs changeset.Changeset) error { return c.inner.Put(ctx, cs) }

// Delete removes the object from the store, and from this cache.
func (c *Cache) Delete(ctx context.Context, ref changeset.Ref) error {
	deleter, ok := c.inner.(changeset.Deleter)
	if !ok {
		return errors.ErrUnsupported
	}
	err := deleter.Delete(ctx, ref)
	if ctx.Err() == nil || err == nil {
		c.epoch.Add(1)
		c.drop(ref)
	}
	return err
}

// Forget removes all of an aggregate from the cache, in memory and on disk, as
// after its erasure. Changesets that other calls of this cache read in the
// meantime are not kept. An error means that files could not be removed.
func (c *Cache) Forget(aggregateID string) error {
	c.epoch.Add(1)
	if c.memory != nil {
		for k := range c.memory.Keys() {
			if k.AggregateID == aggregateID {
				c.memory.Invalidate(k)
			}
		}
	}
	return c.disk.forget(aggregateID)
}

// Objects lists what the store has.
func (c *Cache) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	if lister, ok := c.inner.(changeset.Lister); ok {
		return lister.Objects(ctx, aggregateID)
	}
	return unsupported[changeset.Object]
}

// Aggregates lists what the store has.
func (c *Cache) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	if lister, ok := c.inner.(changeset.Lister); ok {
		return lister.Aggregates(ctx, after)
	}
	return unsupported[string]
}

func unsupported[T any](yield func(T, error) bool) {
	var none T
	yield(none, errors.ErrUnsupported)
}

// Locate returns the object's name in the wrapped store.
func (c *Cache) Locate(ref changeset.Ref) string {
	if locator, ok := c.inner.(changeset.Locator); ok {
		return locator.Locate(ref)
	}
	return ""
}

// absent reports whether a file is not there, which is never an error here.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }
