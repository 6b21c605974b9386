package archive

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/feed"
)

// changesetOf returns a changeset with some content.
func changesetOf(aggregate string, version uint64, contentType, content string) changeset.Changeset {
	h := changeset.Header{
		Ref: changeset.Ref{AggregateID: aggregate, Version: version, ID: changeset.NewID()}, ContentType: contentType,
		RecordedAt: time.Date(2026, 3, 1, 10, 0, 0, 123456789, time.UTC),
	}
	h.Digest = h.ComputeDigest(changeset.Digest{})
	return changeset.Changeset{Header: h, Content: []byte(content), Body: []byte(content)}
}

func TestRowsOfEvents(t *testing.T) {
	c := changesetOf("order-1", 4, "application/x-ndjson", `{"type":"opened","id":"e1","time":"2026-03-01T11:00:00.123456789+01:00","data": {"a": "<>"} ,"meta":{"k":"v"}}`+"\n\n"+
		`{"aggregate":"order-1","type":"paid","cents":7}`+"\r\n"+`{"n":1}`+"\n"+`half {`+"\n \n")
	c.Metadata = map[string]string{"k": "w", "import": "<1>"}
	rows := slices.Collect(RowsOf(c, feed.Position{}))
	require.Len(t, rows, 4)
	at := time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)
	base := Row{Aggregate: "order-1", Version: 4, RecordedAt: at, ChangesetID: c.ID, Digest: c.Digest, ContentType: c.ContentType, Metadata: `{"import":"<1>","k":"w"}`}
	first := base
	first.Type, first.EventID, first.Time, first.Data, first.Metadata = "opened", "e1", at, `{"a": "<>"}`, `{"import":"<1>","k":"v"}`
	first.Envelope = `{"type":"opened","id":"e1","time":"2026-03-01T11:00:00.123456789+01:00","data": null ,"meta":{"k":"v"}}` + "\n"
	require.Equal(t, first, rows[0])
	second := base
	second.Index, second.Type, second.Envelope = 1, "paid", "\n"+`{"aggregate":"order-1","type":"paid","cents":7}`+"\r\n"
	require.Equal(t, second, rows[1])
	third := base
	third.Index, third.Data = 2, `{"n":1}`+"\n"
	require.Equal(t, third, rows[2])
	fourth := base
	fourth.Index, fourth.Content = 3, []byte("half {\n \n")
	require.Equal(t, fourth, rows[3])
}

// A row has the mark of its commit of several aggregates.
func TestRowsOfCommits(t *testing.T) {
	c := changesetOf("order-1", 4, "application/x-ndjson", `{"type":"opened"}`+"\n")
	mark := changeset.Commit{ID: c.ID, Members: 2}
	c.Metadata = map[string]string{"$commit": mark.String()}
	require.Equal(t, mark, c.Commit())
	rows := slices.Collect(RowsOf(c, feed.Position{}))
	require.Len(t, rows, 1)
	require.Equal(t, `{"$commit":"`+mark.String()+`"}`, rows[0].Metadata)
}

// Every changeset has a row, and every byte of its content is in the rows.
func TestRowsOfOtherContent(t *testing.T) {
	for _, test := range []struct {
		contentType, content, data string
		binary                     bool
	}{
		{"application/json", "{\n \"type\": \"a\"}\n", "{\n \"type\": \"a\"}\n", false},
		{"application/json", `{"type":"a"}` + "\n" + `{"type":"b"}`, "", true},
		{"application/x-protobuf", "\x00\xff", "", true},
		{"application/octet-stream", "", "", false},
		{"text/plain", "\"caf\xe9\"", "", true},
		{"application/x-ndjson", "", "", false},
		{"application/x-ndjson", "\n\n", "", true},
		{"application/x-ndjson", "{\"type\":\"caf\xe9\"}\n{\"type\":\"b\"}\n", "", true},
		{"; ;", `7`, "7", false},
	} {
		rows := slices.Collect(RowsOf(changesetOf("a", 0, test.contentType, test.content), feed.Position{}))
		require.Len(t, rows, 1, test.content)
		require.Equal(t, test.data, rows[0].Data)
		require.Equal(t, test.binary, rows[0].Content != nil, test.content)
		require.Empty(t, rows[0].Type)
		require.Empty(t, rows[0].Envelope)
		require.Equal(t, test.content, textOf(t, rows))
	}
}

func textOf(t require.TestingT, rows []Row) string {
	var all []byte
	for _, row := range rows {
		text, err := row.Text()
		require.NoError(t, err)
		all = append(all, text...)
	}
	return string(all)
}

// The texts of the rows are the content, for any content.
func TestRowsKeepEveryByte(t *testing.T) {
	piece := rapid.OneOf(rapid.SampledFrom([]string{
		"\n", "\r\n", " ", "\t", "\u00a0", "{}", `{"type":"a"}`, `{"type":"a","data":1}`, `{"data":null,"type":"b"}`, `{ "type" : "a" , "data" : [ "}" ] , "x" : 2 }`,
		`{"type":"a","\u0064ata":{"data":2},"meta":{"data":"x"}}`, `{"type":"a","type":"b","data":7}`, `{"Data":1,"type":"c","time":"noon"}`, "\xff",
	}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		content := strings.Join(rapid.SliceOf(piece).Draw(t, "content"), "")
		c := changesetOf("a", 7, rapid.SampledFrom([]string{"application/x-ndjson", "application/json"}).Draw(t, "type"), content)
		rows := slices.Collect(RowsOf(c, feed.Position{}))
		require.NotEmpty(t, rows)
		require.Equal(t, content, textOf(t, rows))
		require.Equal(t, rows, roundTrip(t, rows))
	})
}

// roundTrip writes and reads rows.
func roundTrip(t require.TestingT, rows []Row) []Row {
	file := written(t, rows)
	var read []Row
	for row, err := range Read(bytes.NewReader(file), int64(len(file))) {
		require.NoError(t, err)
		read = append(read, row)
	}
	return read
}

func written(t require.TestingT, rows []Row) []byte {
	var file bytes.Buffer
	w := NewWriter(&file)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
	return file.Bytes()
}

func TestTextOfOddRows(t *testing.T) {
	for _, row := range []Row{{Envelope: "{"}, {Envelope: `{"type":"a"}`, Data: "1"}, {Envelope: `{"type":"a","data":null}`}} {
		_, err := row.Text()
		require.Error(t, err)
	}
}

// Every column that is derived from the changeset is compared.
func TestDifferences(t *testing.T) {
	row := slices.Collect(RowsOf(changesetOf("a", 1, "application/x-ndjson", `{"type":"a","data":1}`), feed.Position{}))[0]
	require.Empty(t, row.difference(row))
	for want, change := range map[string]func(*Row){
		"aggregate": func(r *Row) { r.Aggregate = "b" }, "version": func(r *Row) { r.Version++ }, "index": func(r *Row) { r.Index++ },
		"digest": func(r *Row) { r.Digest[0]++ }, "changeset_id": func(r *Row) { r.ChangesetID[0]++ }, "recorded_at": func(r *Row) { r.RecordedAt = r.RecordedAt.Add(1) },
		"content_type": func(r *Row) { r.ContentType = "x" }, "type": func(r *Row) { r.Type = "b" }, "event_id": func(r *Row) { r.EventID = "x" },
		"time": func(r *Row) { r.Time = r.RecordedAt }, "data": func(r *Row) { r.Data = "2" }, "metadata": func(r *Row) { r.Metadata = "{}" },
		"envelope": func(r *Row) { r.Envelope += " " }, "content": func(r *Row) { r.Content = []byte("x") },
	} {
		other := row
		change(&other)
		require.Equal(t, want, row.difference(other))
	}
}
