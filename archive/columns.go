package archive

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/parquet-go/parquet-go"

	"ropewalk/changeset"
	"ropewalk/feed"
)

const (
	// formatKey is the key of the file's metadata that holds the format number.
	formatKey = "ropewalk.format"
	format    = "1"
)

// schema has the columns in their order. Their names are part of the format.
var schema = parquet.SchemaOf(struct {
	Aggregate   string `parquet:"aggregate,dict"`
	Version     int64  `parquet:"version"`
	Index       int32  `parquet:"index"`
	Position    string `parquet:"position,optional,dict"`
	Type        string `parquet:"type,optional,dict"`
	Time        int64  `parquet:"time,optional,timestamp(microsecond)"`
	RecordedAt  int64  `parquet:"recorded_at,timestamp(microsecond)"`
	Data        string `parquet:"data,optional,json"`
	Metadata    string `parquet:"metadata,optional,json"`
	EventID     string `parquet:"event_id,optional"`
	ChangesetID string `parquet:"changeset_id,dict"`
	Digest      string `parquet:"digest,dict"`
	ContentType string `parquet:"content_type,dict"`
	Envelope    string `parquet:"envelope,optional,json"`
	Content     []byte `parquet:"content,optional"`
}{})

// check returns an error if a file cannot have the row.
func (r Row) check() error {
	switch {
	case r.Version > math.MaxInt64 || r.Index < 0 || r.Index > math.MaxInt32:
		return fmt.Errorf("event %d of version %d of %q is beyond what a column can hold", r.Index, r.Version, r.Aggregate)
	case r.size() > maxRowBytes:
		return fmt.Errorf("event %d of version %d of %q: %w", r.Index, r.Version, r.Aggregate, ErrRowTooLarge)
	}
	return nil
}

// values returns the row in the order of the columns.
func values(r Row) parquet.Row {
	at := parquet.NullValue()
	if !r.Time.IsZero() {
		at = parquet.Int64Value(r.Time.UnixMicro()).Level(0, 1, 0)
	}
	row := parquet.Row{
		text(r.Aggregate), parquet.Int64Value(int64(r.Version)), parquet.Int32Value(int32(r.Index)), optional(r.Position.String()),
		optional(r.Type), at, parquet.Int64Value(r.RecordedAt.UnixMicro()), optional(r.Data), optional(r.Metadata),
		optional(r.EventID), text(r.ChangesetID.String()), text(r.Digest.String()), text(r.ContentType),
		optional(r.Envelope), optional(string(r.Content)),
	}
	for i, v := range row {
		row[i] = v.Level(0, v.DefinitionLevel(), i)
	}
	return row
}

func text(s string) parquet.Value { return parquet.ByteArrayValue([]byte(s)) }

// optional returns NULL for an empty text.
func optional(s string) parquet.Value {
	if s == "" {
		return parquet.NullValue()
	}
	return text(s).Level(0, 1, 0)
}

// rowOf returns the row with these values, and copies them. It fails if no [Writer]
// writes such a row.
func rowOf(v parquet.Row) (Row, error) {
	if len(v) != len(schema.Columns()) {
		return Row{}, fmt.Errorf("a row has %d columns", len(v))
	}
	text := func(i int) string { return string(v[i].ByteArray()) }
	position, err1 := feed.ParsePosition(text(3))
	id, err2 := changeset.ParseID(text(10))
	digest, err3 := changeset.ParseDigest(text(11))
	row := Row{
		Aggregate: text(0), Version: uint64(v[1].Int64()), Index: int(v[2].Int32()), Position: position,
		Type: text(4), RecordedAt: time.UnixMicro(v[6].Int64()).UTC(), Data: text(7), Metadata: text(8),
		EventID: text(9), ChangesetID: id, Digest: digest, ContentType: text(12), Envelope: text(13),
	}
	if !v[5].IsNull() {
		row.Time = time.UnixMicro(v[5].Int64()).UTC()
	}
	if content := text(14); content != "" {
		row.Content = []byte(content)
	}
	return row, errors.Join(err1, err2, err3, changeset.ValidateAggregateID(row.Aggregate), row.check())
}
