package head_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// TestTipsStandInRecordsAsTheyAre holds that the lines of a tip are in the record byte
// for byte, whatever other fields a later version has added.
func TestTipsStandInRecordsAsTheyAre(t *testing.T) {
	for name, h := range packedSamples(t) {
		for _, extra := range []string{"", `{"a":{"tip":[{"b":1}],"updated-at":"c"},"z":["<\u003c",{"a":"b"}]}`} {
			h := h.WithExtra(extra)
			record := encode(t, h)
			if h.Tip != "" {
				tip := strings.ReplaceAll(strings.TrimSuffix(h.Tip, "\n"), "\n", ",")
				require.Contains(t, record, `,"tip":[`+tip+`],"updated-at":`, name)
			} else {
				require.NotContains(t, strings.Replace(record, `{"tip":[`, "", 1), `"tip":`, name)
			}
			got, err := head.DecodeJSON(h.AggregateID, "o", []byte(record))
			require.NoError(t, err, name)
			require.Equal(t, h, got, name)
		}
	}
}

// TestLinesOfManyShapesAreFound decodes records whose tips and other fields have, in
// strings and as fields of later versions, what a tip begins, continues and ends with.
func TestLinesOfManyShapesAreFound(t *testing.T) {
	base := packedSamples(t)["packed tip"]
	for _, value := range []string{
		`[{"a":"b"},{"c":"d"}]`, `[{"a":"b"}]`, `[{"tip":[{"a":"b"}],"updated-at":"c"}]`, `"\"},{\""`, `"\"}],\"updated-at\":"`, `{"tip":[{"a":1}]}`,
	} {
		for _, extra := range []string{"", `{"a":` + value + `}`, `{"tip-":` + value + `}`, `{"zone":` + value + `}`, `{"a":` + value + `,"u":` + value + `,"v":{"z":` + value + `,"updated-at":""}}`} {
			h := withLines(t, base, strings.ReplaceAll(base.Tip, `,"content"`, `,"z":`+value+`,"content"`)).WithExtra(extra)
			got, err := head.DecodeJSON(h.AggregateID, "o", []byte(encode(t, h)))
			require.NoError(t, err, "%s in %s", value, extra)
			require.Equal(t, h, got)
		}
	}
}

// TestCorruptTipsAreNamed changes the tip, or what it has to lead to: the error is about
// the head, and says what is wrong.
func TestCorruptTipsAreNamed(t *testing.T) {
	good := encode(t, packedSamples(t)["packed packs and tip"])
	for what, change := range map[string]struct{ old, by, reason string }{
		"an empty tip":         {`"tip":[`, `"tip":[],"tip-":[`, "tip: it is empty"},
		"no array":             {`"tip":[`, `"tip":{},"tip-":[`, "tip: "},
		"null":                 {`"tip":[`, `"tip":null,"tip-":[`, "tip: it is empty"},
		"a number":             {`"tip":[`, `"tip":[1,`, "tip: "},
		"a space":              {`"tip":[`, `"tip":[ `, "canonical"},
		"a space in a line":    {`"tip":[{`, `"tip":[{ `, "tip: line of version"},
		"a line end in a line": {`"version":124,`, "\"version\":124,\n", "tip: "},
		"an escape":            {`\"a\":1`, `\u0022a\":1`, "tip: line of version 124: content: "},
		"other content":        {`\"a\":1`, `\"a\":2`, "does not lead to"},
		"another version":      {`"version":124`, `"version":125`, "tip: line of version 124: it has version 125"},
		"a line twice":         {`"tip":[`, `"tip":[` + lineOf(good) + `,`, "tip: line of version 123: it has version 124"},
		"another digest":       {`"packed-digest":"`, `"packed-digest":"A`, "packed-digest"},
		"another time":         {`"updated-at":"2026`, `"updated-at":"2027`, "updated-at"},
		"a lower revision":     {`"revision":`, `"revision":1,"revisions":`, "revision 1 is not above"},
		"an encoding":          {`"id":"` + id(124).String(), `"encoding":"br","id":"` + id(124).String(), "unsupported format"},
	} {
		require.Contains(t, good, change.old, what)
		record := strings.Replace(good, change.old, change.by, 1)
		h, err := head.DecodeJSON("order-4711", "mem://head", []byte(record))
		require.Zero(t, h, what)
		require.ErrorContains(t, err, change.reason, what)
		require.NotContains(t, strings.TrimPrefix(err.Error(), "corrupt: "), "corrupt: ", what)
		damaged, ok := head.Damaged(err)
		require.True(t, ok, what)
		require.Equal(t, "order-4711", damaged)
		if what == "an encoding" {
			require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
			continue
		}
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, what)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref)
		require.Equal(t, "mem://head", corrupt.Object)
	}
}

// TestRecordsOfOtherShapesAreCorrupt mixes formats, and states what is implied.
func TestRecordsOfOtherShapesAreCorrupt(t *testing.T) {
	both, packs := encode(t, packedSamples(t)["packed packs and tip"]), encode(t, packedSamples(t)["packed packs"])
	line := lineOf(both)
	_, rest, _ := strings.Cut(both, line+",")
	other := rest[:strings.Index(rest, "}]")+1]
	for what, record := range map[string]string{
		"lines in another order":      strings.Replace(both, line+","+other, other+","+line, 1),
		"a head of format 1":          strings.NewReplacer(`"format":2`, `"format":1`, `"min-reader":2`, `"min-reader":1`, `"min-writer":2`, `"min-writer":1`).Replace(both),
		"the ID of the newest object": strings.Replace(packs, `"packed-digest"`, `"packed-changeset-id":"`+id(122).String()+`","packed-digest"`, 1),
		"no index":                    strings.Replace(packs, `"index"`, `"index-"`, 1),
		"objects 0":                   strings.Replace(both, `"objects":61`, `"objects":0`, 1),
		"another number of objects":   strings.Replace(both, `"objects":61`, `"objects":62`, 1),
		"an ancestor index":           strings.Replace(packs, `"ancestors":""`, `"ancestors":"AAAAAA"`, 1),
		"null":                        "null",
	} {
		require.NotContains(t, []string{both, packs}, record, what)
		_, err := head.DecodeJSON("order-4711", "mem://head", []byte(record))
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, what)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref, what)
	}
}

// lineOf returns the first line of a record's tip.
func lineOf(record string) string {
	_, line, _ := strings.Cut(record, `"tip":[`)
	line, _, _ = strings.Cut(line, `"},{`)
	return line + `"}`
}

// TestEncodeRefusesPackedHeadsThatDecodeWould changes one field of a head each.
func TestEncodeRefusesPackedHeadsThatDecodeWould(t *testing.T) {
	samples := packedSamples(t)
	samples["in the middle"] = headAt("order-4711", 1000)
	tip, err := samples["packed tip"].TipChangesets()
	require.NoError(t, err)
	table := []struct {
		sample, reason string
		change         func(*head.Head)
	}{
		{"packed tip", "more than 262144", func(h *head.Head) { h.Tip += strings.Repeat("x", head.MaxTip) }},
		{"packed tip", "does not lead to", func(h *head.Head) { h.Digest[0]++ }},
		{"packed tip", "does not lead to", func(h *head.Head) { h.ID = id(77) }},
		{"packed tip", "middle of an append", func(h *head.Head) { cutLine(t, h) }},
		{"packed tip", "updated-at", func(h *head.Head) { h.UpdatedAt = h.UpdatedAt.Add(time.Second) }},
		{"packed tip", "is not above", func(h *head.Head) { h.Revision = 1 }},
		{"packed tip", "object index does not end", func(h *head.Head) { h.Tip = "" }},
		{"packed tip", "the last line", func(h *head.Head) { h.Tip = strings.TrimSuffix(h.Tip, "\n") }},
		{"packed tip", "has no ID, or no digest", func(h *head.Head) { h.PackedDigest[0]++ }},
		{"packed tip over format 1", "does not end in the newest changeset of format 1", func(h *head.Head) { h.PackedID = id(77) }},
		{"packed tip over format 1", "does not end in the newest changeset of format 1", func(h *head.Head) { h.Ancestors = changeset.Index{} }},
		{"packed tip over format 1", "tip: line of version", func(h *head.Head) {
			h.Index = changeset.ObjectIndexAt(19)
			h.Ancestors = h.Ancestors.Push(id(17))
			h.PackedID = id(17)
		}},
		{"packed packs", "beside the object index", func(h *head.Head) { h.Ancestors = h.Ancestors.Push(id(0)) }},
		{"packed packs", "object index does not end", func(h *head.Head) { h.PackedID = id(77) }},
		{"packed packs", "object index does not end", func(h *head.Head) { h.PackedDigest[0]++ }},
		{"packed packs", "object index does not end", func(h *head.Head) { h.Version++ }},
		{"packed packs and tip", "has no ID, or no digest", func(h *head.Head) { h.PackedID = changeset.ID{} }},
		{"packed erased", "neither tip nor index", func(h *head.Head) { h.Tip = samples["packed tip"].Tip }},
		{"packed erased", "neither tip nor index", func(h *head.Head) { h.PackedID = id(7) }},
		{"packed erased", "neither tip nor index", func(h *head.Head) { h.Index = samples["packed packs"].Index }},
		{"in the middle", "only the head of a packed chain", func(h *head.Head) { h.Tip = samples["packed tip"].Tip }},
		{"in the middle", "only the head of a packed chain", func(h *head.Head) { h.PackedDigest[0]++ }},
		{"packed tip", "not a record", func(h *head.Head) { *h = head.At(tip[2].Header) }},
	}
	for _, row := range table {
		h := samples[row.sample]
		row.change(&h)
		_, err := head.EncodeJSON(h)
		require.Error(t, err, row.reason)
		if row.reason != "the last line" {
			require.ErrorContains(t, err, row.reason, row.sample)
		}
	}
}

// cutLine takes the last line away, and makes the head name the line before.
func cutLine(t *testing.T, h *head.Head) {
	all, err := h.TipChangesets()
	require.NoError(t, err)
	newest := all[len(all)-2]
	h.Tip = h.Tip[:strings.LastIndex(strings.TrimSuffix(h.Tip, "\n"), "\n")+1]
	h.Ref, h.Digest, h.UpdatedAt = newest.Ref, newest.Digest, newest.RecordedAt
}

// A format-1 record with fields of a packed chain is corrupt, in every store.
func TestFieldsOfPackedChainsInOtherHeads(t *testing.T) {
	packed := map[string]string{}
	for i, text := range textsOf(t, packedSamples(t)["packed packs and tip"]) {
		packed[fields[i]] = text
	}
	for _, field := range []string{head.FieldTip, head.FieldIndex, head.FieldObjects, head.FieldPackedDigest, head.FieldPackedID} {
		texts := map[string]string{}
		for i, text := range textsOf(t, headAt("order-4711", 2)) {
			texts[fields[i]] = text
		}
		texts[field] = packed[field]
		_, err := head.ParseFields(texts)
		require.ErrorContains(t, err, "only the head of a packed chain", field)
	}
}

// A field that only repeats another one has no JSON to be compared with.
func TestTheImpliedIDIsNotStored(t *testing.T) {
	h := packedSamples(t)["packed packs"]
	texts := map[string]string{}
	for i, text := range textsOf(t, h) {
		texts[fields[i]] = text
	}
	texts[head.FieldPackedID] = h.ID.String()
	_, err := head.ParseFields(texts)
	require.EqualError(t, err, "packed-changeset-id: it is the ID of the newest object")
}

// TestHostileTips gives counts and lines that cannot be.
func TestHostileTips(t *testing.T) {
	texts := map[string]string{}
	for i, text := range textsOf(t, packedSamples(t)["packed tip"]) {
		texts[fields[i]] = text
	}
	for field, values := range map[string][]string{
		head.FieldTip:     {"\n", strings.Repeat("\n", 4), strings.Repeat("\n", 1<<20), texts[head.FieldTip] + texts[head.FieldTip], "{", "\x00"},
		head.FieldVersion: {"18446744073709551615", "18446744073709551614", "0", "1"},
		head.FieldObjects: {"1", "18446744073709551615", "0"},
	} {
		whole := texts[field]
		for _, value := range values {
			texts[field] = value
			_, err := head.ParseFields(texts)
			require.Error(t, err, "%s %q", field, value[:min(len(value), 30)])
		}
		texts[field] = whole
	}
	texts[head.FieldTip] = strings.Repeat("\n", 5)
	_, err := head.ParseFields(texts)
	require.EqualError(t, err, "tip has 5 lines up to version 3")
	long := longTip(t, head.MaxTip)
	require.Greater(t, len(long.Tip), head.MaxTip-2000)
	got, err := head.DecodeJSON("order-4711", "o", []byte(encode(t, long)))
	require.NoError(t, err)
	require.Equal(t, long, got)
}

// notProved are the fields of the head of a packed chain that may be changed unnoticed,
// besides the fields that may in format 1: nothing in the head proves what is in objects.
// A reader of the newest object does.
var notProved = regexp.MustCompile(`"revision":\d+|"format":\d|"index":"[^"]*"|"objects":\d+|"packed-changeset-id":"[^"]*"`)

func TestEveryFlipOfAPackedHeadIsNamed(t *testing.T) {
	for _, name := range []string{"packed tip", "packed packs and tip"} {
		h := withCheckpoint(packedSamples(t)[name], "")
		record := encode(t, h)
		same := notProved.ReplaceAllString(record, "")
		flips(record, []byte{1, 4, 32, 128}, func(flipped string) {
			got, err := head.DecodeJSON(h.AggregateID, "o", []byte(flipped))
			var corrupt *changeset.CorruptError
			switch {
			case err == nil && got.Extra() == h.Extra():
				require.Equal(t, same, notProved.ReplaceAllString(flipped, ""), "a change passes: %s", flipped)
			case err != nil && !errors.Is(err, changeset.ErrUnsupportedFormat):
				require.ErrorAs(t, err, &corrupt, flipped)
				require.Equal(t, changeset.Ref{AggregateID: h.AggregateID}, corrupt.Ref)
			}
		})
	}
}
