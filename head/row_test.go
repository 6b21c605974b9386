package head_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// TestRow holds rows against the whole record: they have the same fields, and
// what a newer version has added survives in either.
func TestRow(t *testing.T) {
	for name, h := range samples(t) {
		row, err := head.EncodeRow(h)
		require.NoError(t, err, name)
		var whole, rest map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(encode(t, h)), &whole))
		require.NoError(t, json.Unmarshal([]byte(row.Record), &rest))
		for field, value := range map[string][]byte{head.FieldAncestors: row.Ancestors, head.FieldDigest: row.Digest} {
			require.Equal(t, string(whole[field]), `"`+base64.RawURLEncoding.EncodeToString(value)+`"`, name)
			delete(whole, field)
		}
		require.Equal(t, whole, rest, name)
		require.NotNil(t, row.Ancestors, name) // which a column would take for NULL

		got, err := head.DecodeRow(h.AggregateID, "the-row", row)
		require.NoError(t, err, name)
		require.Equal(t, h, got, name)
		for what, other := range damaged(row) {
			require.NotEqual(t, row, other, what)
			got, err := head.DecodeRow(h.AggregateID, "the-row", other)
			var corrupt *changeset.CorruptError
			require.ErrorAs(t, err, &corrupt, what)
			require.Equal(t, "the-row", corrupt.Object)
			require.Zero(t, got, what)
		}
	}
	_, err := head.EncodeRow(head.Head{})
	require.Error(t, err)
}

func TestUnknownFieldsSurviveInARow(t *testing.T) {
	row, err := head.EncodeRow(headAt("order-4711", 7))
	require.NoError(t, err)
	row.Record = strings.TrimSuffix(row.Record, "}") + `,"zone":"north"}`
	h, err := head.DecodeRow("order-4711", "the-row", row)
	require.NoError(t, err)
	require.JSONEq(t, `{"zone":"north"}`, h.Extra())
	again, err := head.EncodeRow(h)
	require.NoError(t, err)
	require.Equal(t, row, again)
}

// damaged returns rows that do not decode.
func damaged(row head.Row) map[string]head.Row {
	with := func(change func(*head.Row)) head.Row {
		other := row
		change(&other)
		return other
	}
	digest := `"digest":"` + base64.RawURLEncoding.EncodeToString(row.Digest) + `",`
	inText := strings.Replace(row.Record, `"format"`, digest+`"format"`, 1)
	rows := map[string]head.Row{
		"no record":           with(func(r *head.Row) { r.Record = "" }),
		"a space":             with(func(r *head.Row) { r.Record += " " }),
		"another state":       with(func(r *head.Row) { r.Record = strings.Replace(r.Record, `"state":"`, `"state":"un`, 1) }),
		"no digest":           with(func(r *head.Row) { r.Digest = nil }),
		"half a digest":       with(func(r *head.Row) { r.Digest = r.Digest[:16] }),
		"the digest as text":  with(func(r *head.Row) { r.Record, r.Digest = inText, nil }),
		"the digest twice":    with(func(r *head.Row) { r.Record = inText }),
		"an ancestor more":    with(func(r *head.Row) { r.Ancestors = append(bytes.Clone(r.Ancestors), make([]byte, 16)...) }),
		"a record of no kind": with(func(r *head.Row) { r.Record = "[]" }),
	}
	if len(row.Ancestors) > 0 {
		rows["no ancestors"] = with(func(r *head.Row) { r.Ancestors = nil })
	}
	return rows
}
