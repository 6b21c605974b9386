package cache

import (
	"context"
	"errors"
	"os"

	"ropewalk/changeset"
)

// Delete removes the object from the store, and from this cache.
func (c *Cache) Delete(ctx context.Context, ref changeset.Ref) error {
	err := c.PassThrough.Delete(ctx, ref)
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

// absent reports whether a file is missing, which is never an error here.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }
