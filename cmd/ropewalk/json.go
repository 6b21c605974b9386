package main

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
)

// changesetJSON is a changeset in --json.
type changesetJSON struct {
	ui.Kind
	Ref           string            `json:"ref"`
	Aggregate     string            `json:"aggregate"`
	Version       uint64            `json:"version"`
	ID            string            `json:"id"`
	Parent        string            `json:"parent,omitempty"`
	AfterRevision uint64            `json:"after_revision"`
	RecordedAt    string            `json:"recorded_at"`
	ContentType   string            `json:"content_type"`
	Encoding      string            `json:"encoding,omitempty"`
	Size          int64             `json:"size"`
	ContentSHA256 string            `json:"content_sha256"`
	Digest        string            `json:"digest"`
	CommandID     string            `json:"command_id,omitempty"`
	Part          *partJSON         `json:"part,omitempty"`
	Commit        *commitJSON       `json:"commit,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	// State is the fate of the changeset: committed, pending, lost or ahead. Only show
	// sets it.
	State string `json:"state,omitempty"`
	// Where it is stored. Only show sets it.
	*storedJSON
	*contentJSON
}

// partJSON is the position of a changeset in an append of several.
type partJSON struct {
	Number int `json:"number"`
	Of     int `json:"of"`
}

func newChangesetJSON(h changeset.Header) changesetJSON {
	out := changesetJSON{
		Kind: ui.KindOf("changeset"), Ref: h.Ref.String(), Aggregate: h.AggregateID, Version: h.Version, ID: h.ID.String(),
		AfterRevision: h.AfterRevision, RecordedAt: changeset.FormatTime(h.RecordedAt), ContentType: h.ContentType,
		Encoding: h.Encoding, Size: h.BodySize, ContentSHA256: h.BodySHA256.String(), Digest: h.Digest.String(),
		CommandID: h.CommandID, Commit: newCommitJSON(h), Metadata: ownMetadata(h),
	}
	if !h.Parent.IsZero() {
		out.Parent = h.Parent.String()
	}
	if h.Part != (changeset.Part{}) {
		out.Part = &partJSON{h.Part.Number, h.Part.Of}
	}
	return out
}

// contentJSON is content in --json: exactly one of its fields is present.
type contentJSON struct {
	Content json.RawMessage `json:"content,omitempty"`
	Text    *string         `json:"content_text,omitempty"`
	Base64  *[]byte         `json:"content_base64,omitempty"`
}

// newContentJSON returns content as JSON if it is one JSON value, as text if it is
// UTF-8, and in base64 otherwise.
func newContentJSON(content []byte) *contentJSON {
	switch {
	case !utf8.Valid(content):
		return &contentJSON{Base64: &content}
	case json.Valid(content):
		return &contentJSON{Content: content}
	default:
		text := string(content)
		return &contentJSON{Text: &text}
	}
}

// headJSON is a head in --json.
type headJSON struct {
	ui.Kind
	pointJSON
	ETag      string `json:"etag"`
	UpdatedAt string `json:"updated_at"`
	State     string `json:"state"`
	// MovingTo or MovedTo is the store that the aggregate moves to, or has moved to.
	MovingTo string `json:"moving_to,omitempty"`
	MovedTo  string `json:"moved_to,omitempty"`
	// Tip and Objects are present if the chain is packed and not erased. Objects counts
	// the chain's packs.
	Tip     *tipSizeJSON `json:"tip,omitempty"`
	Objects *uint64      `json:"objects,omitempty"`
	// Stored is what the storage has of the aggregate. Only ls --sizes sets it.
	Stored *countJSON `json:"stored,omitempty"`
}

// tipSizeJSON is the size of a head's tip.
type tipSizeJSON struct {
	Changesets int `json:"changesets"`
	Bytes      int `json:"bytes"`
}

// newTipJSON returns nil for the head of a chain that is not packed, and for a
// tombstone.
func newTipJSON(h head.Head) *tipSizeJSON {
	if !h.IsPacked() || h.State == head.Erased {
		return nil
	}
	return &tipSizeJSON{strings.Count(h.Tip, "\n"), len(h.Tip)}
}

func newHeadJSON(h head.Head) headJSON {
	out := headJSON{
		Kind: ui.KindOf("head"), pointJSON: *newPointJSON(h), ETag: h.ETag(),
		UpdatedAt: changeset.FormatTime(h.UpdatedAt), State: string(h.State), Tip: newTipJSON(h),
	}
	if h.Move.Done {
		out.MovedTo = h.Move.To
	} else {
		out.MovingTo = h.Move.To
	}
	if objects := h.Index.Objects(); out.Tip != nil {
		out.Objects = &objects
	}
	return out
}

// pointJSON is the known part of a head.
type pointJSON struct {
	Ref       string `json:"ref,omitempty"`
	Aggregate string `json:"aggregate"`
	Version   uint64 `json:"version"`
	ID        string `json:"id,omitempty"`
	Revision  uint64 `json:"revision,omitempty"`
	Digest    string `json:"digest,omitempty"`
}

// newPointJSON returns nil if the head names no changeset.
func newPointJSON(h head.Head) *pointJSON {
	if !h.Exists() {
		return nil
	}
	p := &pointJSON{Aggregate: h.AggregateID, Version: h.Version, Revision: h.Revision}
	if !h.ID.IsZero() {
		p.Ref, p.ID = h.Ref.String(), h.ID.String()
	}
	if !h.Digest.IsZero() {
		p.Digest = h.Digest.String()
	}
	return p
}

// countJSON is a number of objects and their size.
type countJSON struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (c *countJSON) add(other gc.Count) {
	c.Objects += other.Objects
	c.Bytes += other.Bytes
}

// problemJSON is a fault that verify has found, with --json.
type problemJSON struct {
	ui.Kind
	Aggregate string `json:"aggregate"`
	// Ref is the changeset, absent for a fault of the head.
	Ref    string `json:"ref,omitempty"`
	Object string `json:"object,omitempty"`
	Reason string `json:"reason"`
	// Missing is the changeset that Ref, or the head, refers to and that does not exist.
	Missing string `json:"missing,omitempty"`
}

func newProblemJSON(p inspect.Problem) problemJSON {
	out := problemJSON{Kind: ui.KindOf("problem"), Aggregate: p.Ref.AggregateID, Object: p.Object, Reason: p.Reason}
	if !p.Ref.ID.IsZero() {
		out.Ref = p.Ref.String()
	}
	if !p.Missing.ID.IsZero() {
		out.Missing = p.Missing.String()
	}
	return out
}
