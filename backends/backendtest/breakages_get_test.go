package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ropewalk/changeset"
)

var getBreakages = []breakage{
	{getOfAbsent, "Get finds nothing and says so in words of its own", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			return c, hidden(err)
		}
	}},
	{getOfAbsent, "Stat finds nothing and no error", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			info, _ := b.Store.Stat(ctx, ref)
			return info, nil
		}
	}},
	{getOfAbsent, "Stat finds whatever the aggregate has", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			for o := range b.Store.Objects(ctx, ref.AggregateID) {
				ref = o.Ref
			}
			return b.Store.Stat(ctx, ref)
		}
	}},
	{getLeavesContent, "Get fills in Content", func(b *broken) {
		b.get = afterGet(b, func(c *changeset.Changeset) { c.Content = c.Body })
	}},
	{getLeavesContent, "Get returns what it cannot decode empty", func(b *broken) {
		b.get = afterGet(b, func(c *changeset.Changeset) {
			if c.Encoding != "" {
				c.Body = nil
			}
		})
	}},
	{getAsksAdmission, "Get does not ask the admission", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			return b.Store.Get(ctx, ref, nil)
		}
	}},
	{getAsksAdmission, "Get asks the admission twice", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			return b.Store.Get(ctx, ref, func(h changeset.Header) error {
				_ = admission.Admit(h)
				return admission.Admit(h)
			})
		}
	}},
	{getAsksAdmission, "Get asks the admission before it has the header", admitTooEarly},
	{getReturnsAdmissionError, "Get wraps the admission's error", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			if err != nil {
				err = fmt.Errorf("get %s: %w", ref, err)
			}
			return c, err
		}
	}},
	{getReturnsAdmissionError, "Get ignores the admission's error", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, nil)
			_ = admission.Admit(c.Header)
			return c, err
		}
	}},
	{getReturnsAdmissionError, "Get returns content with the admission's error", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, nil)
			return c, errors.Join(err, admission.Admit(c.Header))
		}
	}},
	{getOfAbsentDoesNotAsk, "Get asks the admission before it knows whether the object exists", admitTooEarly},
	{getOfCorrupt, "Get hides that an object is corrupt", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			return c, hidden(err)
		}
	}},
	{getOfCorrupt, "Stat passes over what is corrupt", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			info, _ := b.Store.Stat(ctx, ref)
			return info, nil
		}
	}},
	{getDoesNotAlias, "Get keeps what it returns", func(b *broken) {
		kept := map[changeset.Ref]changeset.Changeset{}
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			if c, ok := kept[ref]; ok {
				return c, nil
			}
			c, err := b.Store.Get(ctx, ref, admission)
			kept[ref] = c
			return c, err
		}
	}},
	{getDoesNotAlias, "Stat keeps what it returns", func(b *broken) {
		kept := map[changeset.Ref]changeset.Info{}
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			if info, ok := kept[ref]; ok {
				return info, nil
			}
			info, err := b.Store.Stat(ctx, ref)
			kept[ref] = info
			return info, err
		}
	}},
	{statTellsTheTime, "Stat tells no time", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			info, err := b.Store.Stat(ctx, ref)
			info.LastModified = time.Time{}
			return info, err
		}
	}},
}

// hidden returns an error of the same text that keeps no cause.
func hidden(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error())
}

func admitTooEarly(b *broken) {
	b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
		if err := admission.Admit(changeset.Header{Ref: ref}); err != nil {
			return changeset.Changeset{}, err
		}
		return b.Store.Get(ctx, ref, nil)
	}
}

var contentBreakages = []breakage{
	{contentOfSizes, "Get fails on no content", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			if len(c.Body) == 0 {
				return c, errors.Join(err, errors.New("unexpected EOF"))
			}
			return c, err
		}
	}},
	{contentOfSizes, "Get stops at 1 MiB", func(b *broken) {
		b.get = afterGet(b, func(c *changeset.Changeset) { c.Body = c.Body[:min(len(c.Body), 1<<20)] })
	}},
	{contentOfMaxSize, "Put refuses what is large", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if len(c.Body) > 1<<20 {
				return errors.New("too large")
			}
			return b.Store.Put(ctx, c)
		}
	}},
	{contentThatLooksEncoded, "Get trims space", func(b *broken) {
		b.get = afterGet(b, func(c *changeset.Changeset) { c.Body = bytes.TrimSpace(c.Body) })
	}},
	{contentThatLooksEncoded, "Get strips a byte order mark", func(b *broken) {
		b.get = afterGet(b, func(c *changeset.Changeset) { c.Body = bytes.TrimPrefix(c.Body, []byte("\ufeff")) })
	}},
	{contentTypes, "Put writes types in lower case", beforePut(func(c *changeset.Changeset) {
		c.ContentType = strings.ToLower(c.ContentType)
	})},
	{contentTypes, "Put collapses space in types", beforePut(func(c *changeset.Changeset) {
		c.ContentType = strings.Join(strings.Fields(c.ContentType), " ")
	})},
	{worstMetadata, "Put has room for 1,990 bytes of metadata", withRoomFor(1990)},
	{worstPackMetadata, "Put has room for 1,820 bytes of metadata", withRoomFor(1820)},
}

func withRoomFor(size int) func(b *broken) {
	return func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if metadata, _ := changeset.Encode(c.Header, changeset.Hyphenated); metadataSize(metadata) > size {
				return errors.New("metadata too large")
			}
			return b.Store.Put(ctx, c)
		}
	}
}
