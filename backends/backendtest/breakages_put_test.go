package backendtest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
)

var putBreakages = []breakage{
	{putKeepsEveryField, "Put drops the user metadata", beforePut(func(c *changeset.Changeset) { c.Metadata = nil })},
	{putKeepsEveryField, "Put drops the content type", beforePut(func(c *changeset.Changeset) { c.ContentType = changeset.DefaultContentType })},
	{putKeepsEveryField, "Put drops the command ID", beforePut(func(c *changeset.Changeset) { c.CommandID = "" })},
	{putKeepsEveryField, "Put drops the place in the append", beforePut(func(c *changeset.Changeset) { c.Part = changeset.Part{} })},
	{putKeepsEveryField, "Put cuts the time to microseconds", beforePut(func(c *changeset.Changeset) { c.RecordedAt = c.RecordedAt.Truncate(time.Microsecond) })},
	{putKeepsEveryField, "Stat drops the size", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			info, err := b.Store.Stat(ctx, ref)
			info.BodySize = 0
			return info, err
		}
	}},
	{putStoresBody, "Put stores Content", beforePut(func(c *changeset.Changeset) { c.Body = c.Content })},
	{putStoresBody, "Put stores Content where it has some", beforePut(func(c *changeset.Changeset) {
		if c.Content != nil {
			c.Body = c.Content
		}
	})},
	{putIsDurable, "Put keeps objects for its own handle", func(b *broken) {
		own := memstore.New()
		b.put, b.get, b.stat, b.objects = own.Put, own.Get, own.Stat, own.Objects
	}},
	{putIsDurable, "Put does nothing", func(b *broken) {
		b.put = func(context.Context, changeset.Changeset) error { return nil }
	}},
	{putIsDurable, "Get remembers what was not there", func(b *broken) {
		missed := map[changeset.Ref]error{}
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			if err := missed[ref]; err != nil {
				return changeset.Changeset{}, err
			}
			c, err := b.Store.Get(ctx, ref, admission)
			missed[ref] = err
			return c, err
		}
	}},
	{putMayBeRepeated, "Put fails where the object is there", whereStored(func(*broken, changeset.Changeset) error {
		return errors.New("it exists")
	})},
	{putMayBeRepeated, "Put touches the object that is there", whereStored(func(b *broken, c changeset.Changeset) error {
		b.Tamper(func(all *memstore.Contents) {
			o := all.Objects[c.ObjectName()]
			o.LastModified = o.LastModified.Add(time.Second)
		})
		return nil
	})},
	{putNeverOverwrites, "Put overwrites", whereStored(overwrite)},
	{putNeverOverwrites, "Put overwrites the body only", whereStored(overwriteBody)},
	{putNeverOverwrites, "Put overwrites by what is larger", whereStored(func(b *broken, c changeset.Changeset) error {
		if stored, err := b.Store.Stat(context.Background(), c.Ref); err != nil || c.BodySize <= stored.BodySize {
			return err
		}
		return overwrite(b, c)
	})},
	{putNeverOverwrites, "Put refuses another content", whereStored(func(b *broken, c changeset.Changeset) error {
		if stored, _ := b.Store.Stat(context.Background(), c.Ref); stored.Digest != c.Digest {
			return errors.New("another content is there")
		}
		return nil
	})},
	{putsRace, "Put leaves the metadata of one and the body of another", whereStored(overwriteBody)},
	{putsRace, "Put fails the losers of a race", whereStored(func(*broken, changeset.Changeset) error {
		return errors.New("another put was faster")
	})},
	{putIsOneStep, "Put stores the metadata before the content", putInTwoSteps},
	{putsShareAHandle, "Put fails while the handle is in use", failTogether},
	{putDoesNotAlias, "Put keeps the content that it was given", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			err := b.Store.Put(ctx, c)
			b.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body = c.Body })
			return err
		}
	}},
	{putDoesNotAlias, "Put keeps the metadata that it was given", func(b *broken) {
		given := map[changeset.Ref]map[string]string{}
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			given[c.Ref] = c.Metadata
			return b.Store.Put(ctx, c)
		}
		b.get = afterGet(b, func(c *changeset.Changeset) { c.Metadata = given[c.Ref] })
	}},
	{putRefusesInvalid, "Put stores what is invalid", beforePut(func(c *changeset.Changeset) { c.ContentType = "x" })},
	{putRefusesInvalid, "Put ignores what is invalid", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			_ = b.Store.Put(ctx, c)
			return nil
		}
	}},
}

// beforePut stores something other than the given changeset.
func beforePut(change func(c *changeset.Changeset)) func(b *broken) {
	return func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			change(&c)
			return b.Store.Put(ctx, c)
		}
	}
}

// afterGet returns a Get that returns something other than the stored changeset.
func afterGet(b *broken, change func(c *changeset.Changeset)) func(context.Context, changeset.Ref, changeset.Admission) (changeset.Changeset, error) {
	return func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
		c, err := b.Store.Get(ctx, ref, admission)
		if err == nil {
			change(&c)
		}
		return c, err
	}
}

// whereStored does something else if the object already exists.
func whereStored(instead func(b *broken, c changeset.Changeset) error) func(b *broken) {
	return func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if _, stored := b.shared.kept.LoadOrStore(c.Ref, true); stored {
				return instead(b, c)
			}
			return b.Store.Put(ctx, c)
		}
	}
}

func overwrite(b *broken, c changeset.Changeset) error {
	if err := b.Store.Delete(context.Background(), c.Ref); err != nil {
		return err
	}
	return b.Store.Put(context.Background(), c)
}

func overwriteBody(b *broken, c changeset.Changeset) error {
	err := b.Store.Put(context.Background(), c) // the first one may still be under way
	b.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body = append([]byte("new: "), c.Body...) })
	return err
}

// putInTwoSteps waits between the steps until a reader has been there.
func putInTwoSteps(b *broken) {
	b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
		defer b.shared.gets.Add(1)
		return b.Store.Get(ctx, ref, admission)
	}
	b.put = func(ctx context.Context, c changeset.Changeset) error {
		body := c.Body
		c.Body = nil
		err := b.Store.Put(ctx, c)
		for seen := b.shared.gets.Load(); b.shared.gets.Load() < seen+3; {
			runtime.Gosched()
		}
		b.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body = bytes.Clone(body) })
		return err
	}
}

// failTogether fails the first of two puts that meet.
func failTogether(b *broken) {
	b.put = func(ctx context.Context, c changeset.Changeset) error {
		if b.shared.puts.Add(1) > 1 {
			return b.Store.Put(ctx, c)
		}
		for b.shared.puts.Load() < 2 {
			runtime.Gosched()
		}
		return errors.New("the handle is in use")
	}
}
