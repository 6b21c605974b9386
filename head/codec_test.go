package head_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// samples are heads by name: the first one, one in the middle, the largest
// under the ID of 128 bytes, a tombstone, one with unknown fields, and heads of packed
// chains.
func samples(t testing.TB) map[string]head.Head {
	t.Helper()
	erased := headAt("Straße/№ 5", 17)
	erased.State = head.Erased
	newer, err := head.DecodeJSON("order-4711", "o", []byte(newer(encode(t, headAt("order-4711", 2)))))
	require.NoError(t, err)
	all := packedSamples(t)
	maps.Copy(all, map[string]head.Head{
		"version 0":                 headAt("order-4711", 0),
		"in the middle":             headAt("order-4711", 1000),
		"worst case":                headAt(strings.Repeat("é", 21)+"ab", 6*4096-2),
		"erased":                    erased,
		"with a checkpoint":         withCheckpoint(headAt("$subscription-mail", 0), "at=2026-11-21,12.30&of=a%2Fb_~*+"),
		"written by a newer format": newer,
		"void":                      voidAt("order/4711", 1),
		"moving":                    moving(headAt("order/4711", 2), head.Move{To: "aws://acme-orders/a?table=heads&region=eu-west-1"}),
		"moved":                     moving(headAt("order/4711", 2), head.Move{To: `file:C:\orders "ü".db`, Done: true}),
		"moved and erased":          moving(erased, head.Move{To: "azure://acme", Done: true}),
		"packed moving":             moving(all["packed tip"], head.Move{To: "s3://acme"}),
		"void with unknown fields":  voidAt("$subscription-mail", 1<<40).WithExtra(`{"a<b":1E400,"zone":null}`),
	})
	return all
}

func withCheckpoint(h head.Head, checkpoint string) head.Head {
	h.Checkpoint = checkpoint
	return h
}

// moving returns the head of an aggregate that moves.
func moving(h head.Head, m head.Move) head.Head { return link.Move(h, m) }

// newer returns the record as a writer of format 2 might write it, with fields
// that this version does not know.
func newer(record string) string {
	record = strings.Replace(record, `"format":1`, `"format":2,"kinds":{"z":[1e3,-0.10,"\u003c<>&\u2028",null],"a":{"b":true}}`, 1)
	return strings.Replace(record, `{"aggregate-id"`, `{"a<b":1E400,"aggregate-id"`, 1)
}

func TestGoldenHead(t *testing.T) {
	for name, h := range samples(t) {
		requireGolden(t, strings.ReplaceAll(name, " ", "-"), encode(t, h)+"\n")
	}
}

// TestEncodedHeadsAreSortedAndCompact holds what is written against package json.
func TestEncodedHeadsAreSortedAndCompact(t *testing.T) {
	for name, h := range samples(t) {
		record := encode(t, h)
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(record), &fields))
		var sorted strings.Builder
		enc := json.NewEncoder(&sorted)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(fields))
		require.Equal(t, sorted.String(), record+"\n", name)
	}
}

func BenchmarkEncodeJSON(b *testing.B) {
	h := headAt("order-4711", 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := head.EncodeJSON(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	record := []byte(encode(b, headAt("order-4711", 1000)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := head.DecodeJSON("order-4711", "o", record); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDecodeReversesEncode(t *testing.T) {
	for name, h := range samples(t) {
		got, err := head.DecodeJSON(h.AggregateID, "mem://head", []byte(encode(t, h)))
		require.NoError(t, err, name)
		require.Equal(t, h, got, name)
		require.True(t, h == got, "also by ==, as heads are compared")
		require.True(t, h.SameRecord(got))
	}
}

func TestDecodeTakesTheCanonicalFormOnly(t *testing.T) {
	good := encode(t, headAt("order-4711", 1))
	replace := func(old, by string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, by, 1)
	}
	for _, record := range []string{
		"", "{", "{}", "[]", "null", "1", `"x"`, good[:len(good)-1], good + " ", good + "\n", good + good, " " + good, "\ufeff" + good,
		replace(":", ": "), replace(",", ", "), replace("{", "{ "),
		replace(`"aggregate-id":"order-4711",`, ""),
		replace(`"aggregate-id":"order-4711",`, `"aggregate-id":"order-4711","aggregate-id":"order-4711",`),
		replace(`"aggregate-id":"order-4711","aggregate-version":1`, `"aggregate-version":1,"aggregate-id":"order-4711"`),
		replace(`"order-4711"`, `"order\u002d4711"`), replace(`"order-4711"`, `"order%2D4711"`), replace(`"order-4711"`, `"order-4712"`),
		replace(`"order-4711"`, `""`), replace(`"order-4711"`, `null`), replace(`"order-4711"`, `1`), replace(`"order-4711"`, `"a.b"`),
		replace(`"aggregate-id"`, `"Aggregate-ID"`), replace(`"state"`, `"st\u0061te"`),
		replace(`"aggregate-version":1`, `"aggregate-version":"1"`), replace(`"aggregate-version":1`, `"aggregate-version":1.0`),
		replace(`"aggregate-version":1`, `"aggregate-version":1e0`), replace(`"aggregate-version":1`, `"aggregate-version":-1`),
		replace(`"aggregate-version":1`, `"aggregate-version":2`), replace(`"aggregate-version":1`, `"aggregate-version":null`),
		replace(`"aggregate-version":1`, `"aggregate-version":18446744073709551615`),
		replace(`"revision":4`, `"revision":0`), replace(`"revision":4`, `"revision":18446744073709551616`),
		replace(`"live"`, `"dead"`), replace(`"live"`, `""`), replace(`"live"`, `"Live"`), replace(`"live"`, `["live"]`),
		replace(id(1).String(), id(0).String()), replace(id(1).String(), strings.ToUpper(id(1).String())),
		replace(`"digest"`, `"checkpoint":"","digest"`), replace(`"digest"`, `"checkpoint":1,"digest"`), replace(`"digest"`, `"checkpoint":null,"digest"`),
		replace(`"digest"`, `"checkpoint":"a b","digest"`), replace(`"digest"`, `"checkpoint":"a/b","digest"`), replace(`"digest"`, `"checkpoint":"\u0061","digest"`),
		replace(`"digest"`, `"checkpoint":"a","checkpoint":"a","digest"`), replace(`"format"`, `"checkpoint":"a","format"`),
		replace(`"digest"`, `"checkpoint":"`+strings.Repeat("z", head.MaxCheckpoint+1)+`","digest"`),
		replace(`"digest":"`, `"digest":"A`), replace(`"ancestors":"`, `"ancestors":"A`), replace(`"ancestors":"`, `"ancestors":"\n`),
		replace(`2026-11-21T12`, `2026-11-21t12`), replace(`56789Z`, `5678Z`), replace(`Z"`, `+00:00"`),
		replace(`"format":1`, `"format":0`), replace(`"format":1`, `"format":01`), replace(`"min-reader":1`, `"min-reader":0`),
		replace(`"min-writer":1`, `"min-writer":0`), replace(`"min-reader":1`, `"min-reader":2`), replace(`"min-writer":1`, `"min-writer":2`),
		replace(`{`, `{"a": 1,`), replace(`{`, `{"a":[1, 2],`), replace(`{`, `{"\u003c":1,`), replace(`{`, `{"b":1,`),
		replace(`}`, `,"zz":1,"zy":1}`), replace(`}`, `,"zz":1,"zz":1}`), replace(`}`, `,"zz":01}`), replace(`}`, `,"zz":}`), replace(`}`, `,}`),
	} {
		h, err := head.DecodeJSON("order-4711", "mem://head", []byte(record))
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, record)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref)
		require.Equal(t, "mem://head", corrupt.Object)
		require.Zero(t, h)
	}
}

func TestUnknownFieldsSurviveARewrite(t *testing.T) {
	record := newer(encode(t, headAt("order-4711", 2)))
	h, err := head.DecodeJSON("order-4711", "o", []byte(record))
	require.NoError(t, err)
	require.Equal(t, head.Formats{Written: 2, MinReader: 1, MinWriter: 1}, h.Formats)

	_, next, err := link.Extend(h, "order-4711", make([]changeset.Draft, 1), noon)
	require.NoError(t, err)
	require.NoError(t, head.CheckSwap(h, next))
	for _, rewritten := range []head.Head{next, link.Fence(h)} {
		text := encode(t, rewritten)
		for _, kept := range []string{`"a<b":1E400,`, `"format":2,"kinds":{"z":[1e3,-0.10,"\u003c<>&\u2028",null],"a":{"b":true}},"min-reader":1,"min-writer":1`} {
			require.Contains(t, text, kept)
		}
		again, err := head.DecodeJSON("order-4711", "o", []byte(text))
		require.NoError(t, err)
		require.Equal(t, rewritten, again)
	}
}

func TestMinReaderAndMinWriter(t *testing.T) {
	format := func(written, reader, writer int) string {
		return strings.NewReplacer(`"format":1`, fmt.Sprintf(`"format":%d`, written), `"min-reader":1`, fmt.Sprintf(`"min-reader":%d`, reader),
			`"min-writer":1`, fmt.Sprintf(`"min-writer":%d`, writer)).Replace(encode(t, headAt("order-4711", 2)))
	}
	_, err := head.DecodeJSON("order-4711", "mem://head", []byte(format(4, 3, 3)))
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorContains(t, err, "format 3")
	require.ErrorContains(t, err, "mem://head")

	h, err := head.DecodeJSON("order-4711", "mem://head", []byte(format(3, 1, 3)))
	require.NoError(t, err, "this version may read it")
	_, _, err = link.Extend(h, "order-4711", make([]changeset.Draft, 1), noon)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorContains(t, err, "format 3")

	ours := h
	ours.Formats = head.Formats{} // as in a head that was rebuilt from a changeset
	for _, next := range []head.Head{link.Fence(h), link.Fence(ours)} {
		err := head.CheckSwap(h, next)
		requireNotApplied(t, err, "format 3")
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	for reason, change := range map[string]func(*head.Head){
		"aggregate ID":   func(h *head.Head) { h.AggregateID = "" },
		"changeset ID":   func(h *head.Head) { h.ID = changeset.ID{} },
		"beyond":         func(h *head.Head) { h.Version = math.MaxUint64 },
		"revision is 0":  func(h *head.Head) { h.Revision = 0 },
		"state":          func(h *head.Head) { h.State = "" },
		"ancestor index": func(h *head.Head) { h.Ancestors = changeset.Index{} },
		"does not end":   func(h *head.Head) { h.ID = id(77) },
		"year 10000":     func(h *head.Head) { h.UpdatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"more than":      func(h *head.Head) { h.Checkpoint = strings.Repeat("z", head.MaxCheckpoint+1) },
		"a character":    func(h *head.Head) { h.Checkpoint = `"` },
		"unknown fields": func(h *head.Head) { *h = h.WithExtra("[]") },
	} {
		h := headAt("order-4711", 2)
		change(&h)
		_, err := head.EncodeJSON(h)
		require.ErrorContains(t, err, reason)
	}
	_, err := head.EncodeJSON(head.Head{})
	require.Error(t, err)
}

// Stores that keep fields of their own have no JSON to compare with.
func TestFromTextsTakesTheCanonicalFormOnly(t *testing.T) {
	packed := packedSamples(t)
	for _, want := range []head.Head{headAt("order-4711", 2), packed["packed tip"], packed["packed tip over format 1"], packed["packed packs of own ID"], packed["packed packs and tip"], packed["packed erased"]} {
		want = withCheckpoint(want, "a=1")
		texts := map[string]string{}
		for i, text := range textsOf(t, want) {
			texts[fields[i]] = text
		}
		got, err := head.ParseFields(texts)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for _, other := range []string{"a=1\n", " ", "a/b", "é"} {
			texts[head.FieldCheckpoint] = other
			_, err := head.ParseFields(texts)
			require.ErrorContains(t, err, "checkpoint", "%q", other)
		}
		delete(texts, head.FieldCheckpoint)
		for field, whole := range texts {
			for _, other := range []string{"", "0" + whole, whole + "\n", whole + " ", whole + "="} {
				texts[field] = other
				_, err := head.ParseFields(texts)
				if field == head.FieldAggregateID && other == "0"+whole && want.Tip == "" {
					require.NoError(t, err, "another aggregate, for the caller to notice")
					continue
				}
				unproved := field == head.FieldPackedID && want.Tip != "" // a reader of the object finds it
				require.Equal(t, (whole != "" && !unproved) || other != "", err != nil, "%s: %q", field, other)
			}
			texts[field] = whole
		}
	}
}

func TestRepeatedKeysAreNamed(t *testing.T) {
	_, err := head.DecodeJSON("a", "o", []byte(`{"x":1,"x":1}`))
	require.ErrorContains(t, err, `key "x" is repeated`)
	require.NoError(t, head.DecodeError("a", "o", nil))
}

func TestObjectName(t *testing.T) {
	require.Equal(t, "heads/order-4711", head.ObjectName("order-4711"))
	require.Equal(t, "heads/%2E%2E%2Fa", head.ObjectName("../a"))
}
