package feed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

const (
	// buckets is into how many objects a snapshot is divided, by the first byte of
	// the key.
	buckets = 256
	// snapshotGrace is how long an object of a snapshot is kept although no batch
	// names it: another relay may be about to.
	snapshotGrace = time.Hour
)

// minSnapshot is how many bytes of batches are worth a snapshot at least, which is
// more than a manifest takes for its buckets. Only tests change it.
var minSnapshot int64 = 256 << 10

// manifest is the content of the object that describes a snapshot of progress.
type manifest struct {
	Format int `json:"format"`
	// Version, ID and Digest are of the feed's changeset that the snapshot is at.
	Version uint64           `json:"version"`
	ID      changeset.ID     `json:"id"`
	Digest  changeset.Digest `json:"digest"`
	// Previous is the snapshot before.
	Previous *changeset.ID `json:"previous,omitempty"`
	// Buckets are the objects that hold the entries.
	Buckets []bucket `json:"buckets"`
	// Waypoints are the IDs of every 4,096th changeset of the feed.
	Waypoints []changeset.ID `json:"waypoints"`
}

// bucket names an object that holds the entries whose keys begin with one byte,
// sorted. A bucket without entries has no object.
type bucket struct {
	ID      *changeset.ID     `json:"id,omitempty"`
	Entries int               `json:"entries,omitempty"`
	SHA256  *changeset.Digest `json:"sha256,omitempty"`
}

// snapshotIfDue writes a snapshot once the batches since the newest snapshot are as
// large as the new one: then all snapshots that were ever written are together not
// larger than all batches, and a relay that starts folds hardly more bytes of batches
// than it reads of its snapshot.
// A snapshot is written only after its batch is committed, and the next batch names
// it. Without a snapshot the feed is read from an earlier one, so a failure is only
// logged.
func (s *state) snapshotIfDue(ctx context.Context) error {
	if s.size < int64(s.progress.len()*entrySize+len(s.waypoints)*40)+minSnapshot {
		return nil
	}
	if err := s.writeSnapshot(ctx); err != nil {
		s.size = 0 // tries again when the feed has grown
		s.feed.options.Logger.WarnContext(ctx, "cannot write snapshot of the feed", "cause", err)
		return ctx.Err()
	}
	if err := s.deleteOldSnapshots(ctx); err != nil {
		s.feed.options.Logger.WarnContext(ctx, "cannot delete old snapshots of the feed", "cause", err)
	}
	return nil
}

func (s *state) writeSnapshot(ctx context.Context) error {
	m := manifest{
		Format: formatOfBatches, Version: s.head.Version, ID: s.head.ID, Digest: s.head.Digest,
		Previous: s.snapshot, Buckets: make([]bucket, buckets), Waypoints: s.waypoints,
	}
	group, putCtx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range s.progress {
		group.Go(func() (err error) {
			m.Buckets[i], err = s.putBucket(putCtx, &s.progress[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	id, _, err := s.putObject(ctx, content, "application/json")
	if err == nil {
		s.snapshot, s.size = &id, 0
	}
	return err
}

func (s *state) putBucket(ctx context.Context, p *part) (bucket, error) {
	if p.len() == 0 {
		return bucket{}, nil
	}
	id, sum, err := s.putObject(ctx, p.encode(), changeset.DefaultContentType)
	return bucket{&id, p.len(), &sum}, err
}

// putObject stores an object of a snapshot.
func (s *state) putObject(ctx context.Context, body []byte, contentType string) (changeset.ID, changeset.Digest, error) {
	h := changeset.Header{
		Ref:         s.snapshotRef(changeset.NewID()),
		ContentType: contentType,
		BodySize:    int64(len(body)),
		BodySHA256:  sha256.Sum256(body),
		RecordedAt:  s.head.UpdatedAt,
	}
	h.Digest = h.ComputeDigest(changeset.Digest{})
	err := s.feed.store.Changesets().Put(ctx, changeset.Changeset{Header: h, Content: body, Body: body})
	return h.ID, h.BodySHA256, err
}

func (s *state) snapshotRef(id changeset.ID) changeset.Ref {
	return changeset.Ref{AggregateID: reserved.Snapshots(s.chain().AggregateID()), ID: id}
}

// errUnusable says that a snapshot is missing or is not what its manifest says.
var errUnusable = errors.New("the snapshot cannot be used")

// restore sets the state to the newest usable snapshot of the feed up to h. Without
// one the state stays empty, and the whole feed is folded.
func (s *state) restore(ctx context.Context, h head.Head) error {
	b, err := s.batchOf(ctx, h)
	if err != nil {
		return err
	}
	for id, tries := b.Snapshot, 0; id != nil && tries < 2; tries++ {
		m, err := s.readManifest(ctx, *id)
		if err == nil {
			err = s.restoreFrom(ctx, h, *id, m)
		}
		if !errors.Is(err, errUnusable) {
			return err
		}
		s.feed.options.Logger.WarnContext(ctx, "trying the snapshot before, or else the whole feed", "cause", err)
		id = m.Previous
	}
	return nil
}

func (s *state) readManifest(ctx context.Context, id changeset.ID) (m manifest, err error) {
	content, err := s.getObject(ctx, id)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil || len(m.Buckets) != buckets {
		return m, fmt.Errorf("%w: %s is not a manifest", errUnusable, id)
	}
	if m.Format > formatOfBatches {
		return m, fmt.Errorf("snapshot %s: %w: format %d", id, changeset.ErrUnsupportedFormat, m.Format)
	}
	return m, nil
}

// restoreFrom sets the state to a snapshot, after it has proved that the chain of h
// has the changeset that the snapshot is at.
func (s *state) restoreFrom(ctx context.Context, h head.Head, id changeset.ID, m manifest) error {
	at, err := s.feed.pointAt(ctx, changeset.Ref{AggregateID: h.AggregateID, Version: m.Version, ID: m.ID})
	if err != nil {
		return unusable(err)
	}
	found, err := s.feed.find(ctx, h, m.Version)
	if err != nil {
		return unusable(err)
	}
	if found != m.ID || at.Digest != m.Digest {
		return fmt.Errorf("%w: %s is of another history", errUnusable, id)
	}
	p, err := s.readBuckets(ctx, m)
	if err != nil {
		return err
	}
	s.head, s.progress, s.waypoints = at, p, m.Waypoints
	s.snapshot = &id
	return nil
}

func (s *state) readBuckets(ctx context.Context, m manifest) (*progress, error) {
	p := &progress{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, b := range m.Buckets {
		if b.ID == nil || b.SHA256 == nil {
			continue
		}
		group.Go(func() error {
			content, err := s.getObject(ctx, *b.ID)
			if err != nil {
				return err
			}
			var ok bool
			p[i], ok = decodePart(content, byte(i))
			if !ok || sha256.Sum256(content) != *b.SHA256 || p[i].len() != b.Entries {
				return fmt.Errorf("%w: bucket %d is not what the manifest says", errUnusable, i)
			}
			return nil
		})
	}
	return p, group.Wait()
}

// getObject returns the content of an object of a snapshot. The error matches
// errUnusable if the object is missing or damaged.
func (s *state) getObject(ctx context.Context, id changeset.ID) ([]byte, error) {
	ref := s.snapshotRef(id)
	c, err := s.feed.object(ctx, ref)
	return c.Content, unusable(readError(ref, err))
}

// unusable adds errUnusable to the error of an object that is missing or damaged.
func unusable(err error) error {
	if _, damaged := errors.AsType[*changeset.CorruptError](err); damaged {
		return fmt.Errorf("%w: %w", errUnusable, err)
	}
	return err
}

// deleteOldSnapshots deletes the objects that are neither of the newest two
// snapshots nor new.
func (s *state) deleteOldSnapshots(ctx context.Context) error {
	lister, lists := changeset.As[changeset.Lister](s.feed.store.Changesets())
	deleter, deletes := changeset.As[changeset.Deleter](s.feed.store.Changesets())
	if !lists || !deletes {
		return nil
	}
	kept, err := s.keptObjects(ctx)
	if err != nil {
		return err
	}
	for o, err := range lister.Objects(ctx, s.snapshotRef(changeset.ID{}).AggregateID) {
		if err != nil {
			return err
		}
		if kept[o.ID] || time.Since(o.LastModified) < snapshotGrace {
			continue
		}
		if err := deleter.Delete(ctx, o.Ref); err != nil {
			return err
		}
	}
	return nil
}

// keptObjects returns the objects of the newest two snapshots.
func (s *state) keptObjects(ctx context.Context) (map[changeset.ID]bool, error) {
	kept := map[changeset.ID]bool{}
	for id, n := s.snapshot, 0; id != nil && n < 2; n++ {
		m, err := s.readManifest(ctx, *id)
		if err != nil {
			return nil, err
		}
		kept[*id] = true
		for _, b := range m.Buckets {
			kept[*cmp.Or(b.ID, id)] = true
		}
		id = m.Previous
	}
	return kept, nil
}
