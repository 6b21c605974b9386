package dynamostore

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// position is where the reading of a stream goes on. Its JSON is a cursor.
type position struct {
	// Stream is the stream's ARN.
	Stream string `json:"stream"`
	// Since is a time by the service's clock. All that happened before was read, or
	// was reported as lost.
	Since time.Time `json:"since"`
	// Shards holds the place in each shard, by its ID. A shard that is listed but not
	// in here is new.
	Shards map[string]string `json:"shards"`
}

// The places in a shard, besides the sequence number of the last record that was read.
const (
	horizon = "horizon" // before the oldest record that there is
	done    = "done"    // after the last record that there will be
)

// maxCursor is the largest size of a cursor in bytes.
const maxCursor = 64 << 10

// encode returns the position as a cursor. If it gets too large, it leaves out the
// oldest shards, as IDs begin with the time: they are read again as if they were new,
// which repeats hints and loses none.
func (p position) encode() ([]byte, error) {
	const frame = len(`{"stream":"","since":"2006-01-02T15:04:05.999999999Z","shards":{}}`)
	size := frame + len(p.Stream)
	kept := position{p.Stream, p.Since.UTC(), map[string]string{}}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(p.Shards))) {
		if size += len(`"":"",`) + len(id) + len(p.Shards[id]); size > maxCursor {
			break
		}
		kept.Shards[id] = p.Shards[id]
	}
	return json.Marshal(kept)
}
