package aggregate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/reserved"
)

// snapshotContent is the content of a snapshot's object. It has a head in a chain of
// format 1, and a point in a packed chain.
type snapshotContent struct {
	Format   int             `json:"format"`
	Schema   string          `json:"schema,omitempty"`
	Head     json.RawMessage `json:"head,omitempty"`
	Point    *snapshotPoint  `json:"point,omitempty"`
	Commands []string        `json:"commands,omitempty"`
	Commits  []string        `json:"commits,omitempty"`
	State    json.RawMessage `json:"state"`
}

// snapshotPoint is the point of a packed chain that a snapshot is of. The record of the
// head would have other changesets in its tip, which erasure does not reach there.
type snapshotPoint struct {
	Changeset string           `json:"changeset"`
	Digest    changeset.Digest `json:"digest"`
	Revision  uint64           `json:"revision"`
	UpdatedAt string           `json:"updated-at"`
}

// snapshotRef returns the place of a snapshot: it follows from the aggregate,
// the version and the schema alone, so that a snapshot is found without a
// listing, and has one place for ever.
//
// The object is at version 0 of the reserved aggregate, whose objects are no
// chain: a version of its own would need a parent and an ancestor index. The
// version that it is about is in the hash, in its metadata and its content.
func snapshotRef(aggregateID string, version uint64, schema string) changeset.Ref {
	var b []byte
	for _, field := range []string{"ropewalk/snapshot/1", aggregateID, strconv.FormatUint(version, 10), schema} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
		b = append(b, field...)
	}
	sum := sha256.Sum256(b)
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: of our own making (RFC 9562)
	id[8] = id[8]&0x3f | 0x80 // its variant
	return changeset.Ref{AggregateID: reserved.Snapshots(aggregateID), ID: changeset.ID(id)}
}

// snapshotOf returns the snapshot of a state at a head, ready to be put; nil if
// it cannot be made, which is counted and logged. It encodes at once: a state
// that shares memory with a later one cannot become that.
func (r *Repository[S, E]) snapshotOf(ctx context.Context, l Loaded[S], h head.Head) (*changeset.Changeset, error) {
	c, err := r.encodeSnapshot(l, h)
	if err == nil {
		return &c, nil
	}
	r.stats.failed.Add(1)
	logged := false
	if loss, ok := errors.AsType[*lossError](err); ok {
		_, logged = r.losses.LoadOrStore(loss.what, true)
	}
	if !logged {
		r.options.Logger.WarnContext(ctx, "cannot make snapshot", "of", h.Ref, "cause", err)
	}
	return nil, fmt.Errorf("snapshot of %s: %w", h.Ref, err)
}

func (r *Repository[S, E]) encodeSnapshot(l Loaded[S], h head.Head) (changeset.Changeset, error) {
	content, err := r.snapshotContent(l, h)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if n := int64(len(content)); n > r.options.MaxSnapshotSize {
		return changeset.Changeset{}, fmt.Errorf("it takes %d bytes, more than %d", n, r.options.MaxSnapshotSize)
	}
	if err := r.checkSnapshot(l, h, content); err != nil {
		return changeset.Changeset{}, err
	}
	encoded := body.Encode(content, r.store.Options().Compress)
	header := changeset.Header{
		Ref:         snapshotRef(l.ID, h.Version, r.plan.Snapshots.Schema),
		ContentType: "application/json",
		Encoding:    encoded.Encoding,
		BodySize:    int64(len(encoded.Bytes)),
		BodySHA256:  encoded.SHA256,
		RecordedAt:  h.UpdatedAt,
		Metadata:    map[string]string{"snapshot-at": strconv.FormatUint(h.Version, 10)},
	}
	header.Digest = header.ComputeDigest(changeset.Digest{})
	return changeset.Changeset{Header: header, Content: content, Body: encoded.Bytes}, nil
}

func (r *Repository[S, E]) snapshotContent(l Loaded[S], h head.Head) ([]byte, error) {
	s := snapshotContent{Format: changeset.Format, Schema: r.plan.Snapshots.Schema}
	s.Commands, s.Commits = l.commands.stored()
	var err error
	if h.IsPacked() {
		s.Format = changeset.FormatPacked
		s.Point = &snapshotPoint{h.Ref.String(), h.Digest, h.Revision, changeset.FormatTime(h.UpdatedAt)}
	} else if s.Head, err = head.EncodeJSON(h); err != nil {
		return nil, err
	}
	if s.State, err = r.plan.Snapshots.encode(l.State); err != nil {
		return nil, err
	}
	return marshal(s)
}

// checkSnapshot reads the content of a snapshot back. It fails if the state
// does not come back equal.
func (r *Repository[S, E]) checkSnapshot(l Loaded[S], h head.Head, content []byte) (err error) {
	defer recovered(&err)
	read, err := r.decodeSnapshot(l.ID, h.Version, content)
	if err != nil {
		return fmt.Errorf("it could not be read back: %w", err)
	}
	if lost := r.plan.Snapshots.lost(l.State, read.State); lost != "" {
		return &lossError{lost}
	}
	return nil
}

// readSnapshot returns the aggregate as a snapshot has it. Its error matches
// [changeset.ErrNotFound] where there is no such snapshot.
func (r *Repository[S, E]) readSnapshot(ctx context.Context, id string, version uint64) (Loaded[S], error) {
	limit := func(h changeset.Header) error {
		if h.BodySize > r.options.MaxSnapshotSize {
			return fmt.Errorf("it takes %d bytes, more than %d", h.BodySize, r.options.MaxSnapshotSize)
		}
		return nil
	}
	c, err := r.store.Changesets().Get(ctx, snapshotRef(id, version, r.plan.Snapshots.Schema), limit)
	if err != nil {
		return Loaded[S]{}, err
	}
	if err := c.Verify(changeset.Digest{}); err != nil {
		return Loaded[S]{}, err
	}
	content, err := body.Decode(c, r.options.MaxSnapshotSize)
	if err != nil {
		return Loaded[S]{}, err
	}
	return r.decodeSnapshot(id, version, content)
}

func (r *Repository[S, E]) decodeSnapshot(id string, version uint64, content []byte) (Loaded[S], error) {
	var stored snapshotContent
	if err := json.Unmarshal(content, &stored); err != nil {
		return Loaded[S]{}, err
	}
	if stored.Schema != r.plan.Snapshots.Schema {
		return Loaded[S]{}, fmt.Errorf("it has format %d and schema %q", stored.Format, stored.Schema)
	}
	h, err := stored.headOf(id)
	if err != nil {
		return Loaded[S]{}, err
	}
	if h.Version != version || h.State != head.Live {
		return Loaded[S]{}, fmt.Errorf("it belongs to version %d", h.Version)
	}
	state, err := r.plan.Snapshots.decode(stored.State)
	if err != nil {
		return Loaded[S]{}, fmt.Errorf("its state: %w", err)
	}
	return Loaded[S]{ID: id, State: state, Head: h, commands: commandsOf(stored.Commands, stored.Commits)}, nil
}

// headOf returns the head that a snapshot of an aggregate is of.
func (s snapshotContent) headOf(id string) (head.Head, error) {
	switch {
	case s.Format == changeset.Format:
		return head.DecodeJSON(id, "snapshot", s.Head)
	case s.Format != changeset.FormatPacked || s.Point == nil:
		return head.Head{}, fmt.Errorf("it has format %d, and no head that is known", s.Format)
	}
	ref, err := changeset.ParseRef(s.Point.Changeset)
	if err != nil {
		return head.Head{}, err
	}
	at, err := changeset.ParseTime(s.Point.UpdatedAt)
	if err != nil {
		return head.Head{}, err
	}
	if ref.AggregateID != id {
		return head.Head{}, fmt.Errorf("it belongs to %q", ref.AggregateID)
	}
	return head.NewPoint(ref, s.Point.Digest, s.Point.Revision, at), nil
}

var errOtherHistory = errors.New("it is of another history")

// follows reports whether a changeset is the one that comes right after a
// head, by its parent, its index in format 1, and its digest.
func follows(c changeset.Header, h head.Head) bool {
	return c.Parent == h.ID && (c.Format() != changeset.Format || c.Ancestors == h.Ancestors) && c.Verify(h.Digest) == nil
}

// isAt reports whether h is the head that the snapshot at base is of, or the record of
// the packed chain that it has become.
func isAt(h, base head.Head) bool {
	return h.Ref == base.Ref && h.Digest == base.Digest && (h.IsPacked() || h.Ancestors == base.Ancestors)
}
