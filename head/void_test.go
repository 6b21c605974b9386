package head_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// voidAt returns the void head after so many fences.
func voidAt(aggregateID string, revision uint64) head.Head {
	h := link.Void(aggregateID)
	h.Revision = revision
	return h
}

func TestVoidHeadsNameNothing(t *testing.T) {
	h := voidAt("order-4711", 3).WithToken("etag")
	require.False(t, h.Exists())
	require.False(t, h.IsZero())
	require.True(t, head.Head{}.IsZero())
	require.False(t, headAt("order-4711", 0).IsZero())
	require.False(t, h.IsPacked(), "the chain that begins after it need not be")
	require.Zero(t, h.Len())
	require.Empty(t, h.ETag())
	require.False(t, h.Matches("*"))
	require.Equal(t, voidAt("order-4711", 4).WithToken("etag"), link.Fence(h))
	require.False(t, h.SameRecord(head.Head{}))
	require.False(t, h.SameRecord(link.Fence(h)))
	require.True(t, h.SameRecord(voidAt("order-4711", 3)))
	require.EqualError(t, &head.ConflictError{Winner: &h}, `the head of "order-4711" is void, at revision 3`)
}

// TestReadersOfFormat1RefuseVoidHeads holds that the record has what makes a program
// that reads format 1 alone refuse it by name: its format numbers, and all fields of
// format 1 with their types.
func TestReadersOfFormat1RefuseVoidHeads(t *testing.T) {
	record := encode(t, voidAt("order-4711", 1))
	require.Contains(t, record, `"format":2,"min-reader":2,"min-writer":2,`)
	_, all, _ := strings.Cut(encode(t, headAt("order-4711", 0)), "{")
	for pair := range strings.SplitSeq(strings.TrimSuffix(all, "}"), ",") {
		name, value, _ := strings.Cut(pair, ":")
		quote := ""
		if strings.HasPrefix(value, `"`) {
			quote = `"`
		}
		require.Contains(t, record, name+":"+quote)
	}
	// A later version may demand more of its readers.
	later := strings.Replace(record, `"format":2,"min-reader":2`, `"format":3,"min-reader":3`, 1)
	_, err := head.DecodeJSON("order-4711", "mem://head", []byte(later))
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}

// TestHostileVoidHeads changes a field of a void head each. None is encoded, and none
// decodes, from JSON or from the texts of its fields.
func TestHostileVoidHeads(t *testing.T) {
	packed := packedSamples(t)["packed packs and tip"]
	for what, change := range map[string]func(*head.Head){
		"no aggregate":         func(h *head.Head) { h.AggregateID = "" },
		"no revision":          func(h *head.Head) { h.Revision = 0 },
		"a changeset":          func(h *head.Head) { h.ID = id(7) },
		"a version":            func(h *head.Head) { h.Version = 7 },
		"a digest":             func(h *head.Head) { h.Digest[31] = 1 },
		"a time":               func(h *head.Head) { h.UpdatedAt = noon },
		"ancestors":            func(h *head.Head) { h.Ancestors = h.Ancestors.Push(id(0)) },
		"a checkpoint":         func(h *head.Head) { h.Checkpoint = "a" },
		"a tip":                func(h *head.Head) { h.Tip = packed.Tip },
		"an object index":      func(h *head.Head) { h.Index = packed.Index },
		"an ID in objects":     func(h *head.Head) { h.PackedID = id(7) },
		"a digest of objects":  func(h *head.Head) { h.PackedDigest[0] = 1 },
		"the chain of another": func(h *head.Head) { *h = packed; h.State = head.Void },
		"format 1":             func(h *head.Head) { h.Formats = head.Formats{} },
		"readers of format 1":  func(h *head.Head) { h.Formats.MinReader = 1 },
		"writers of format 1":  func(h *head.Head) { h.Formats.MinWriter = 1 },
	} {
		h := voidAt("order-4711", 3)
		change(&h)
		_, err := head.EncodeJSON(h)
		require.Error(t, err, what)
		_, err = head.EncodeRow(h)
		require.Error(t, err, what)
		requireNotApplied(t, head.CheckSwap(head.Head{}, h), "")
	}

	good := encode(t, voidAt("order-4711", 3))
	fields := textsByField(t, voidAt("order-4711", 3))
	_, err := head.ParseFields(fields)
	require.NoError(t, err)
	for _, change := range []struct{ field, is, by string }{
		{head.FieldRevision, "3", "0"},
		{head.FieldChangesetID, changeset.ID{}.String(), id(7).String()},
		{head.FieldChangesetID, changeset.ID{}.String(), ""},
		{head.FieldVersion, "0", "7"},
		{head.FieldDigest, changeset.Digest{}.String(), packed.Digest.String()},
		{head.FieldUpdatedAt, "0001-01-01T00:00:00.000000000Z", changeset.FormatTime(noon)},
		{head.FieldAncestors, "", "AQGZHzyKTnwbnQ5bHGp_LhAAAAA"},
		{head.FieldMinReader, "2", "1"},
		{head.FieldMinWriter, "2", "1"},
		{head.FieldState, "void", "live"},
		{head.FieldState, "void", "erased"},
		{head.FieldState, "void", "Void"},
		{head.FieldCheckpoint, "", "a"},
		{head.FieldObjects, "", "61"},
		{head.FieldIndex, "", "AAAAAAA"},
		{head.FieldPackedDigest, "", packed.PackedDigest.String()},
		{head.FieldPackedID, "", id(7).String()},
		{head.FieldTip, "", packed.Tip},
	} {
		require.Equal(t, change.is, fields[change.field])
		fields[change.field] = change.by
		_, err := head.ParseFields(fields)
		require.Error(t, err, "%s %q", change.field, change.by)
		fields[change.field] = change.is

		quoted := `"` + change.field + `":"` + change.is + `"`
		bad := strings.Replace(good, quoted, `"`+change.field+`":"`+change.by+`"`, 1)
		bad = strings.Replace(bad, `"`+change.field+`":`+change.is+",", `"`+change.field+`":`+change.by+",", 1)
		if bad == good {
			continue // a field that a void head does not have
		}
		_, err = head.DecodeJSON("order-4711", "mem://head", []byte(bad))
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, bad)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref)
		require.Equal(t, "mem://head", corrupt.Object)
	}
}

func textsByField(t *testing.T, h head.Head) map[string]string {
	texts := map[string]string{}
	for i, text := range textsOf(t, h) {
		texts[fields[i]] = text
	}
	return texts
}

// TestEveryFlipOfAVoidHeadIsNamed flips bits of the record. Only the revision, the format
// numbers and the aggregate ID, which the caller compares, can change unnoticed.
func TestEveryFlipOfAVoidHeadIsNamed(t *testing.T) {
	h := voidAt("order-4711", 3)
	same := notProved.ReplaceAllString(encode(t, h), "")
	flips(encode(t, h), []byte{1, 2, 4, 8, 16, 32, 64, 128}, func(flipped string) {
		got, err := head.DecodeJSON(h.AggregateID, "o", []byte(flipped))
		if err == nil {
			require.Equal(t, same, notProved.ReplaceAllString(flipped, ""), "a change passes: %s", flipped)
			require.False(t, got.Exists())
		} else {
			require.Zero(t, got)
		}
	})
}

func TestSwapsOfVoidHeads(t *testing.T) {
	void := voidAt("order-4711", 3)
	first := headAt("order-4711", 0)
	first.Revision = 4
	packed := packedAfter(head.Head{}, "order-4711")
	packed.head.Revision = 3
	packed.inline(t, "a")
	for _, next := range []head.Head{first, packed.head, link.Fence(void)} {
		require.NoError(t, head.CheckSwap(void, next))
	}
	require.NoError(t, head.CheckSwap(head.Head{}, voidAt("order-4711", 1)))

	first.Revision = 3
	requireNotApplied(t, head.CheckSwap(void, first), "revision 3 does not follow 3")
	first.Revision = 4
	requireNotApplied(t, head.CheckSwap(voidAt("order-4712", 1), first), "cannot follow the head of")
	requireNotApplied(t, head.CheckSwap(headAt("order-4711", 0), voidAt("order-4711", 9)), "a void head cannot follow a head with changesets")
	requireNotApplied(t, head.CheckSwap(headAt("order-4711", 7), voidAt("order-4711", 11)), "a void head cannot follow a head with changesets")
	tombstone := headAt("order-4711", 7)
	tombstone.State = head.Erased
	requireNotApplied(t, head.CheckSwap(tombstone, voidAt("order-4711", 11)), "void")
	newer := void
	newer.Formats = head.Formats{Written: 3, MinReader: 2, MinWriter: 3}
	requireNotApplied(t, head.CheckSwap(newer, first), "format 3")
}

// TestChainsAfterVoidHeads builds both forms of a chain on a void head. Its format
// numbers are not the numbers of a chain of format 1; unknown fields survive.
func TestChainsAfterVoidHeads(t *testing.T) {
	void := voidAt("order-4711", 3).WithToken("etag").WithExtra(`{"zone":"north"}`)
	built, next, err := link.Extend(void, "order-4711", make([]changeset.Draft, 2), noon)
	require.NoError(t, err)
	require.Zero(t, built[0].Version)
	require.True(t, built[0].Parent.IsZero())
	require.EqualValues(t, 3, built[0].AfterRevision)
	require.NoError(t, built[0].Verify(changeset.Digest{}))
	require.EqualValues(t, 4, next.Revision)
	require.Equal(t, head.Formats{}, next.Formats)
	require.Equal(t, head.Formats{}, next.Inherit(void, void).Formats)
	require.Equal(t, "etag", next.Token())
	require.Equal(t, `{"zone":"north"}`, next.Extra())
	require.NoError(t, head.CheckSwap(void, next))
	require.Contains(t, encode(t, next), `"format":1,"min-reader":1,"min-writer":1,`)

	_, _, err = link.Extend(voidAt("order-4712", 3), "order-4711", make([]changeset.Draft, 1), noon)
	require.EqualError(t, err, `the head belongs to "order-4712", not to "order-4711"`)
}
