package archive

import (
	"bytes"
	"encoding/binary"
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
	formatKey    = "ropewalk.format"
	formatNumber = "1"
)

// schema has the columns in their order, which is part of the format, as are their
// names, types and encodings.
var schema = parquet.SchemaOf(struct {
	Aggregate   string `parquet:"aggregate,dict"`
	Version     int64  `parquet:"version,plain"`
	Index       int32  `parquet:"index,plain"`
	Position    string `parquet:"position,optional,dict"`
	Type        string `parquet:"type,optional,dict"`
	Time        int64  `parquet:"time,optional,plain,timestamp(microsecond)"`
	RecordedAt  int64  `parquet:"recorded_at,plain,timestamp(microsecond)"`
	Data        string `parquet:"data,optional,plain,json"`
	Metadata    string `parquet:"metadata,optional,plain,json"`
	EventID     string `parquet:"event_id,optional,plain"`
	ChangesetID string `parquet:"changeset_id,dict"`
	Digest      string `parquet:"digest,dict"`
	ContentType string `parquet:"content_type,dict"`
	Envelope    string `parquet:"envelope,optional,plain,json"`
	Content     []byte `parquet:"content,optional,plain"`
}{})

// check returns an error if a file cannot have the row.
func (r Row) check() error {
	switch {
	case r.Version > math.MaxInt64 || r.Index < 0 || r.Index > math.MaxInt32:
		return fmt.Errorf("event %d of version %d of %q is beyond what a column can hold", r.Index, r.Version, r.Aggregate)
	case r.size() > maxRowBytes:
		return fmt.Errorf("event %d of version %d of %q takes more than %d bytes: %w", r.Index, r.Version, r.Aggregate, maxRowBytes, changeset.ErrStoredTooLarge)
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
func rowOf(v [15][]byte) (Row, error) {
	position, err1 := feed.ParsePosition(string(v[3]))
	id, err2 := changeset.ParseID(string(v[10]))
	digest, err3 := changeset.ParseDigest(string(v[11]))
	row := Row{
		Aggregate: string(v[0]), Version: binary.LittleEndian.Uint64(v[1]), Index: int(int32(binary.LittleEndian.Uint32(v[2]))),
		Position: position, Type: string(v[4]), RecordedAt: timeOf(v[6]), Data: string(v[7]), Metadata: string(v[8]),
		EventID: string(v[9]), ChangesetID: id, Digest: digest, ContentType: string(v[12]), Envelope: string(v[13]),
	}
	if v[5] != nil {
		row.Time = timeOf(v[5])
	}
	if len(v[14]) > 0 {
		row.Content = bytes.Clone(v[14])
	}
	return row, errors.Join(err1, err2, err3, changeset.ValidateAggregateID(row.Aggregate), row.check())
}

func timeOf(v []byte) time.Time { return time.UnixMicro(int64(binary.LittleEndian.Uint64(v))).UTC() }
