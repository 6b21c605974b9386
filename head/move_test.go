package head_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Older versions go on to read the record, for it asks no more of readers than before, and
// has all fields of its format. They refuse to replace it.
func TestOlderVersionsReadAndDoNotReplaceMovedHeads(t *testing.T) {
	m := head.Move{To: "s3://acme", Done: true}
	record := encode(t, moving(headAt("order-4711", 2), m))
	require.Contains(t, record, `"format":3,"min-reader":1,"min-writer":3,"moved-to":"s3%3A%2F%2Facme",`)
	require.Contains(t, encode(t, moving(packedSamples(t)["packed tip"], m)), `"format":3,"min-reader":2,"min-writer":3,`)
	unknown := strings.Replace(record, `"moved-to"`, `"moved-tp"`, 1) // as an older version sees the field
	h, err := head.DecodeJSON("order-4711", "o", []byte(unknown))
	require.NoError(t, err)
	require.ErrorIs(t, h.CheckWritable(), changeset.ErrUnsupportedFormat)
	require.ErrorIs(t, h.CheckAppendable(), changeset.ErrUnsupportedFormat)
	requireNotApplied(t, head.CheckSwap(h, link.Fence(h)), "only writers of format 3 and above may replace it")
}

func TestMovedHeadsAreNotAppendedTo(t *testing.T) {
	h := moving(headAt("order-4711", 2), head.Move{To: "s3://acme"})
	require.ErrorIs(t, h.CheckAppendable(), head.ErrMoved)
	require.EqualError(t, h.CheckAppendable(), `"order-4711" is moving to s3://acme: read the head again in a moment, and append to it there when it has moved`)
	require.NoError(t, h.CheckWritable())
	for _, next := range []head.Head{link.Fence(h), link.Tombstone(h), link.Stay(h), moving(h, head.Move{To: "s3://acme", Done: true})} {
		require.NoError(t, head.CheckSwap(h, next))
	}
	stays := link.Stay(h)
	require.NoError(t, stays.CheckAppendable())
	stays.Revision = headAt("order-4711", 2).Revision
	require.Equal(t, encode(t, headAt("order-4711", 2)), encode(t, stays))
	_, _, err := link.Extend(h, "order-4711", make([]changeset.Draft, 1), noon)
	require.ErrorIs(t, err, head.ErrMoved)
	exchange := head.Exchange{AggregateID: "order-4711", Old: headAt("order-4711", 2)}
	require.True(t, exchange.HoldsFor(link.Fence(exchange.Old)))
	require.False(t, exchange.HoldsFor(h), "it may have changed where it moves")
}

func TestHostileMoves(t *testing.T) {
	good := moving(headAt("order-4711", 2), head.Move{To: "s3://acme"})
	for reason, change := range map[string]func(*head.Head){
		"does not say where": func(h *head.Head) { h.Move = head.Move{Done: true} },
		"more than 1024":     func(h *head.Head) { h.Move.To = strings.Repeat("x", 1025) },
		"min-writer 3":       func(h *head.Head) { h.Formats = head.Formats{} },
		"names no changeset": func(h *head.Head) { *h = voidAt("order-4711", 3); h.Move.To = "x" },
		"format 4":           func(h *head.Head) { h.Formats = head.Formats{Written: 4, MinReader: 1, MinWriter: 4} },
	} {
		h := good
		change(&h)
		requireNotApplied(t, head.CheckSwap(headAt("order-4711", 1), h), reason)
	}
	record := encode(t, good)
	for _, bad := range []string{
		strings.Replace(record, `"moving-to"`, `"moved-to":"x","moving-to"`, 1),
		strings.Replace(record, `"moving-to":"s3%3A%2F%2Facme"`, `"moving-to":""`, 1),
		strings.Replace(record, `s3%3A%2F%2Facme`, `s3:%2F%2Facme`, 1),
		strings.Replace(record, `"format":3,"min-reader":1,"min-writer":3`, `"format":1,"min-reader":1,"min-writer":1`, 1),
	} {
		require.NotEqual(t, record, bad)
		_, err := head.DecodeJSON("order-4711", "o", []byte(bad))
		require.Error(t, err, bad)
	}
	texts := byField(textsOf(t, good))
	for field, text := range map[string]string{head.FieldMovingTo: "s3:%zz", head.FieldMovedTo: "%2f"} {
		texts[field] = text
		_, err := head.ParseFields(texts)
		require.ErrorContains(t, err, "where it moves", text)
		delete(texts, field)
	}
}
