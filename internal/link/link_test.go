package link_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var noon = time.Date(2026, 2, 3, 12, 0, 0, 123456789, time.UTC)

// headAt returns a head after version+1 changesets.
func headAt(aggregateID string, version uint64) head.Head {
	h := head.Head{
		Ref:       changeset.Ref{AggregateID: aggregateID, Version: version},
		Digest:    changeset.Digest{byte(version), 2, 3},
		Revision:  version + 3,
		UpdatedAt: noon,
		State:     head.Live,
	}
	for range version + 1 {
		h.ID = changeset.NewID()
		h.Ancestors = h.Ancestors.Push(h.ID)
	}
	return h
}

func TestExtendErrors(t *testing.T) {
	draft := make([]changeset.Draft, 1)
	commands := func(ids ...string) []changeset.Draft {
		drafts := make([]changeset.Draft, len(ids))
		for i := range ids {
			drafts[i].CommandID = ids[i]
		}
		return drafts
	}
	last := headAt("a", 7)
	last.Version = math.MaxUint64 - 257
	table := []struct {
		name   string
		after  head.Head
		id     string
		drafts []changeset.Draft
		is     error
		reason string
	}{
		{"none", head.Head{}, "a", nil, changeset.ErrInvalidDraft, "1 to 256 changesets, not 0"},
		{"too many", head.Head{}, "a", make([]changeset.Draft, 257), changeset.ErrInvalidDraft, "not 257"},
		{"no aggregate", head.Head{}, "", draft, changeset.ErrInvalidAggregateID, "empty"},
		{"another aggregate", headAt("b", 1), "a", draft, nil, `the head belongs to "b"`},
		{"the last version", last, "a", draft, nil, "last version"},
		{"an invalid draft", head.Head{}, "a", []changeset.Draft{{}, {ContentType: " "}}, changeset.ErrInvalidDraft, "draft 2"},
		{"two commands", head.Head{}, "a", commands("c", "d"), changeset.ErrInvalidDraft, `draft 2: invalid draft: command ID "d"`},
		{"a late command", head.Head{}, "a", commands("", "", "d"), changeset.ErrInvalidDraft, "draft 3"},
	}
	for _, row := range table {
		built, next, err := link.Extend(row.after, row.id, row.drafts, noon)
		require.ErrorContains(t, err, row.reason, row.name)
		if row.is != nil {
			require.ErrorIs(t, err, row.is, row.name)
		}
		require.Nil(t, built)
		require.Zero(t, next)
	}
	for _, drafts := range [][]changeset.Draft{commands("c"), commands("c", "c"), commands("c", "", ""), commands("c", "", "c"), make([]changeset.Draft, 256)} {
		built, _, err := link.Extend(head.Head{}, "a", drafts, noon)
		require.NoError(t, err)
		for _, c := range built {
			require.Equal(t, drafts[0].CommandID, c.CommandID, "an append has one command")
		}
	}
}

func TestExtendBuildsWhatTheDraftSays(t *testing.T) {
	metadata := map[string]string{"k": "v"}
	draft := changeset.Draft{CommandID: "c", Content: []byte("abc"), ContentType: "text/plain", Metadata: metadata}
	built, next, err := link.Extend(head.Head{}, "a", []changeset.Draft{draft, {}}, noon)
	require.NoError(t, err)
	metadata["k"] = "changed later by its owner"

	first, second := built[0], built[1]
	require.Equal(t, []byte("abc"), first.Content)
	require.Equal(t, "text/plain", first.ContentType)
	require.Equal(t, map[string]string{"k": "v"}, first.Metadata)
	require.EqualValues(t, 3, first.BodySize)
	require.Equal(t, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", first.BodySHA256.String())
	require.Zero(t, first.Parent)
	require.Equal(t, "application/octet-stream", second.ContentType)
	require.Nil(t, second.Metadata)
	require.Zero(t, second.BodySize)
	require.Equal(t, first.ID, second.Parent)
	require.NotEqual(t, first.ID, second.ID)

	require.Equal(t, head.Head{
		Ref: second.Ref, Digest: second.Digest, Ancestors: changeset.Index{}.Push(first.ID).Push(second.ID),
		Revision: 1, UpdatedAt: noon, State: head.Live,
	}, next)
	again, _, err := link.Extend(head.Head{}, "a", []changeset.Draft{draft, {}}, noon)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, again[0].ID, "an ID is never used again")
}

func TestExtendCarriesTheRecordOn(t *testing.T) {
	after := headAt("a", 7).WithToken("etag").WithExtra(`{"x":1}`)
	after.Formats = head.Formats{Written: 2, MinReader: 1, MinWriter: 1}
	_, next, err := link.Extend(after, "a", make([]changeset.Draft, 1), noon)
	require.NoError(t, err)
	require.Equal(t, after.Formats, next.Formats)
	require.Equal(t, "etag", next.Token())
	require.Equal(t, `{"x":1}`, next.Extra())
}

func TestExtendNeverRecordsBeforeTheHead(t *testing.T) {
	after := headAt("a", 7)
	berlin := time.FixedZone("CET", 3600)
	for now, want := range map[time.Time]time.Time{
		noon.Add(-time.Hour):             noon, // a clock that went backward
		noon.Add(-time.Nanosecond):       noon,
		noon:                             noon,
		noon.Add(time.Nanosecond):        noon.Add(time.Nanosecond),
		noon.Add(time.Second).In(berlin): noon.Add(time.Second),
	} {
		built, next, err := link.Extend(after, "a", make([]changeset.Draft, 2), now)
		require.NoError(t, err)
		require.Equal(t, want, next.UpdatedAt)
		for _, c := range built {
			require.Equal(t, want, c.RecordedAt)
		}
	}
	built, _, err := link.Extend(head.Head{}, "a", make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	parsed, err := changeset.ParseTime(changeset.FormatTime(built[0].RecordedAt))
	require.NoError(t, err)
	require.True(t, parsed == built[0].RecordedAt, "what is read back is equal, also by ==")
}

// Any history that Extend builds, batches and fences included, is a chain: its
// links, digests, indexes and revisions hold, and stay so when stored and read.
func TestExtendBuildsAChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h head.Head
		var parent changeset.Header
		now := noon
		for range rapid.IntRange(1, 30).Draw(t, "appends") {
			drafts := make([]changeset.Draft, rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 20)).Draw(t, "drafts"))
			drafts[0].CommandID = rapid.SampledFrom([]string{"", "c"}).Draw(t, "command")
			now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "clock")))
			built, next, err := link.Extend(h, "a", drafts, now)
			require.NoError(t, err)
			for i, c := range built {
				require.Equal(t, h.Revision, c.AfterRevision)
				require.Equal(t, len(drafts) > 1, c.Part == changeset.Part{Number: i + 1, Of: len(drafts)})
				require.Equal(t, len(drafts) == 1, c.Part == changeset.Part{})
				requireStored(t, c, parent)
				parent = c.Header
			}
			require.NoError(t, head.CheckSwap(h, next))
			require.NoError(t, next.VerifyNewest(parent))
			require.Equal(t, next, head.At(parent))
			for h = next; rapid.IntRange(0, 3).Draw(t, "fence") == 0; h = link.Fence(h) {
				require.NoError(t, head.CheckSwap(h, link.Fence(h)))
			}
		}
	})
}

func requireStored(t *rapid.T, c changeset.Changeset, parent changeset.Header) {
	require.NoError(t, c.Verify(parent.Digest))
	if c.Version > 0 {
		require.NoError(t, c.VerifyLink(parent))
		require.Equal(t, parent.ID, c.Ancestors.Parent())
	}
	metadata, err := changeset.Encode(c.Header, changeset.Joined)
	require.NoError(t, err)
	stored := changeset.Stored{Ref: c.Ref, Metadata: metadata, ContentType: c.ContentType, Size: c.BodySize}
	read, err := changeset.Decode(stored, changeset.Joined)
	require.NoError(t, err)
	require.Equal(t, c.Header, read)
	require.True(t, strings.HasPrefix(c.ObjectName(), changeset.FolderOf("a")))
}
