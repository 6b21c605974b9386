package changeset_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// changes change one field of a header each.
var changes = map[string]func(*changeset.Header){
	"aggregate ID":     func(h *changeset.Header) { h.AggregateID += "x" },
	"version":          func(h *changeset.Header) { h.Version++ },
	"changeset ID":     func(h *changeset.Header) { h.ID[15]++ },
	"parent":           func(h *changeset.Header) { h.Parent[15]++ },
	"after-revision":   func(h *changeset.Header) { h.AfterRevision++ },
	"recorded-at":      func(h *changeset.Header) { h.RecordedAt = h.RecordedAt.Add(1) },
	"command ID":       func(h *changeset.Header) { h.CommandID += "x" },
	"no command ID":    func(h *changeset.Header) { h.CommandID = "" },
	"append":           func(h *changeset.Header) { h.Part.Of++ },
	"no append":        func(h *changeset.Header) { h.Part = changeset.Part{} },
	"content type":     func(h *changeset.Header) { h.ContentType += "x" },
	"encoding":         func(h *changeset.Header) { h.Encoding = "zstd" },
	"metadata":         func(h *changeset.Header) { h.Metadata = map[string]string{"k": "w"} },
	"no metadata":      func(h *changeset.Header) { h.Metadata = nil },
	"ancestors":        func(h *changeset.Header) { h.Ancestors = h.Ancestors.Push(id(0)) },
	"content's sha256": func(h *changeset.Header) { h.BodySHA256[31]++ },
	"digest":           func(h *changeset.Header) { h.Digest[0]++ },
}

// full is a sample with every field of its header set.
func full(t testing.TB) sample {
	t.Helper()
	s := samples(t)[2]
	s.changeset.Metadata = map[string]string{"k": "v"}
	s.user = "k=v"
	s.changeset.Digest = s.digest()
	return s
}

func TestVerifyNoticesEveryField(t *testing.T) {
	for name, change := range changes {
		s := full(t)
		require.NoError(t, s.changeset.Verify(s.parent))
		change(&s.changeset.Header)
		requireReason(t, s.changeset.Verify(s.parent), s.changeset.Ref, "", name)
	}
	s := full(t)
	s.parent[0]++
	requireReason(t, s.changeset.Verify(s.parent), s.changeset.Ref, "digest does not match")
}

func TestFieldsDoNotRunIntoEachOther(t *testing.T) {
	h := full(t).changeset.Header
	h.CommandID, h.ContentType = "ab", "c/d"
	one := h.ComputeDigest(changeset.Digest{})
	h.CommandID, h.ContentType = "a", "bc/d"
	require.NotEqual(t, one, h.ComputeDigest(changeset.Digest{}))
}

func TestVerifyNoticesTheContent(t *testing.T) {
	for i, reason := range map[int]string{0: "sha256", 1: "content has 2 bytes, not 1"} {
		s := full(t)
		s.changeset.Body = append(s.changeset.Body, 0)[:1+i]
		s.changeset.Body[i] ^= 1
		requireReason(t, s.changeset.Verify(s.parent), s.changeset.Ref, reason)
	}
	s := samples(t)[0]
	require.NoError(t, s.changeset.Verify(changeset.Digest{}))
	s.changeset.Body = nil
	require.NoError(t, s.changeset.Verify(changeset.Digest{1}), "version 0 has no parent's digest")
}

func requireReason(t *testing.T, err error, ref changeset.Ref, reason string, msg ...any) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt, msg...)
	require.Equal(t, ref, corrupt.Ref, msg...)
	require.Contains(t, corrupt.Reason, reason, msg...)
}

// link returns a parent, the second of a batch of three, and its child, the third.
func link(t *testing.T) (parent, child changeset.Header) {
	t.Helper()
	parent = full(t).changeset.Header
	child = parent
	child.Metadata = maps.Clone(parent.Metadata)
	child.Version, child.ID, child.Parent = 18, id(18), parent.ID
	child.Ancestors = parent.Ancestors.Push(parent.ID)
	child.Part.Number = 3
	return parent, child
}

func TestVerifyLink(t *testing.T) {
	parent, child := link(t)
	require.NoError(t, child.VerifyLink(parent))
	table := []struct {
		reason        string
		parent, child func(*changeset.Header)
	}{
		{"parent is", nil, func(h *changeset.Header) { h.AggregateID += "x" }},
		{"parent is", nil, func(h *changeset.Header) { h.Version++ }},
		{"parent is", nil, func(h *changeset.Header) { h.Parent[0]++ }},
		{"parent is", func(h *changeset.Header) { h.ID[0]++ }, nil},
		{"ancestor index", func(h *changeset.Header) { h.Ancestors = changeset.Index{} }, nil},
		{"ancestor index", nil, func(h *changeset.Header) { h.Ancestors = indexOf(t, 18).Push(id(1)) }},
		{"recorded before", nil, func(h *changeset.Header) { h.RecordedAt = h.RecordedAt.Add(-1) }},
		{"append", nil, func(h *changeset.Header) { h.AfterRevision++ }},
		{"append", nil, func(h *changeset.Header) { h.Part.Number = 2 }},
		{"append", nil, func(h *changeset.Header) { h.Part.Of = 4 }},
		{"append", func(h *changeset.Header) { h.Part = changeset.Part{} }, nil},
	}
	for _, row := range table {
		parent, child := link(t)
		if row.parent != nil {
			row.parent(&parent)
		}
		if row.child != nil {
			row.child(&child)
		}
		requireReason(t, child.VerifyLink(parent), child.Ref, row.reason)
	}
}

// One append may hold the commands of several callers.
func TestVerifyLinkBetweenCommands(t *testing.T) {
	for _, commands := range [][2]string{{"one", "other"}, {"one", ""}, {"", "other"}} {
		parent, child := link(t)
		require.Greater(t, child.Part.Number, 1)
		parent.CommandID, child.CommandID = commands[0], commands[1]
		require.NoError(t, child.VerifyLink(parent))
	}
}

// An append begins after the last changeset of another append, on a later
// revision.
func TestVerifyLinkBetweenAppends(t *testing.T) {
	for _, begins := range []changeset.Part{{}, {Number: 1, Of: 2}} {
		parent, child := link(t)
		parent.Part.Number = 3
		child.Part, child.CommandID = begins, ""
		child.RecordedAt = child.RecordedAt.Add(time.Hour)
		requireReason(t, child.VerifyLink(parent), child.Ref, "after-revision")
		child.AfterRevision = parent.AfterRevision + 1
		require.NoError(t, child.VerifyLink(parent))
		child.AfterRevision += 5 // fences lie between
		require.NoError(t, child.VerifyLink(parent))
		parent.Part.Number = 2
		requireReason(t, child.VerifyLink(parent), child.Ref, "append", "the parent's append is cut short")
	}
}
