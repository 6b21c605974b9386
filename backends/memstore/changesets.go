package memstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"ropewalk/changeset"
)

// Put stores the changeset where its reference is not stored yet, and leaves
// it as it is where it is. It returns the context's error and
// [changeset.Encode]'s.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o, err := encode(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.create(c.Ref, o)
	return nil
}

func encode(c changeset.Changeset) (*Object, error) {
	metadata, err := changeset.Encode(c.Header, changeset.Hyphenated)
	if err != nil {
		return nil, err
	}
	return &Object{metadata, c.ContentType, bytes.Clone(c.Body), time.Now().UTC()}, nil
}

// create needs the lock.
func (s *Store) create(ref changeset.Ref, o *Object) {
	name := ref.ObjectName()
	if _, exists := s.contents.Objects[name]; !exists {
		s.index.add(entry{name, ref, o})
		s.contents.Objects[name] = o
	}
}

// Get returns the changeset with a copy of its content. It returns the
// context's error, one that matches [changeset.ErrNotFound],
// [changeset.Decode]'s and the admission's.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	o, info, err := s.stat(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := admission.Admit(info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return changeset.Changeset{Header: info.Header, Body: bytes.Clone(o.Body)}, nil
}

// Stat returns the changeset without its content. It returns the context's
// error, one that matches [changeset.ErrNotFound], and [changeset.Decode]'s.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	_, info, err := s.stat(ctx, ref)
	return info, err
}

// stat also returns the stored object. Only its body may be read later, under
// the lock.
func (s *Store) stat(ctx context.Context, ref changeset.Ref) (*Object, changeset.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, changeset.Info{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.contents.Objects[ref.ObjectName()]
	if o == nil {
		return nil, changeset.Info{}, fmt.Errorf("%s: %w", ref, changeset.ErrNotFound)
	}
	h, err := decode(o.stored(ref))
	return o, changeset.Info{Header: h, LastModified: o.LastModified}, err
}

// stored returns the object for the decoder.
func (o *Object) stored(ref changeset.Ref) changeset.Stored {
	return changeset.Stored{Ref: ref, Metadata: o.Metadata, ContentType: o.ContentType, Size: int64(len(o.Body))}
}

// decode names the object only if it does not decode.
func decode(o changeset.Stored) (changeset.Header, error) {
	h, err := changeset.Decode(o, changeset.Hyphenated)
	if err != nil {
		o.Object = locate(o.Ref.ObjectName())
		return changeset.Decode(o, changeset.Hyphenated)
	}
	return h, nil
}

// Delete removes the object of that reference, if it exists. It returns the
// context's error and no other.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := ref.ObjectName()
	s.index.remove(ref.AggregateID, name)
	delete(s.contents.Objects, name)
	return nil
}
