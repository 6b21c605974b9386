package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// CommandWindow is how many of the latest command IDs a snapshot carries, so
// that [Once] recognises them.
const CommandWindow = 256

// Snapshots says whether and how the states of a [Type] are kept. A snapshot
// is never needed: without it the history is read.
//
// Every 16 is the interval at which a load always takes two round trips: the
// changesets after a snapshot are then all named by the head. 32, 64, 128 and
// 256 take three at most, and make fewer objects; others below 256, four.
type Snapshots[S any] struct {
	// Every is the number of changesets from one snapshot to the next: those
	// after which the count of changesets is a multiple of it. 0 means none. To
	// change it is safe, and makes the snapshots at other places useless.
	Every int
	// Manual leaves writing to [Repository.Snapshot]; otherwise a Save, Create,
	// Update or Upsert writes a snapshot when one is due, in the background.
	Manual bool
	// Schema names the form of the state and what it is made by, such as "2".
	// Change it whenever S, Encode, Evolve or an upcaster changes what the same
	// history makes: snapshots of another schema are no longer found, and both
	// may be in use at once, which rolling deployments need. At most 64 bytes.
	Schema string
	// Encode and Decode are the codec of states; both nil mean JSON. They must
	// be safe for concurrent use.
	//
	// A snapshot is decoded before it is written. If the state does not come
	// back equal, the snapshot is not written: [Stats.Failed] counts it, and the
	// log names the field once. [Type.Check] refuses what the type S alone
	// shows that JSON loses.
	Encode func(S) ([]byte, error)
	Decode func([]byte) (S, error)
	// Equal, if not nil, compares a state with what Decode made of it. By default
	// states are equal if reflect.DeepEqual says so, with a few exceptions that
	// Evolve should not depend on: the names of time zones, the space between
	// the tokens of a json.RawMessage. Types that encode themselves are compared
	// by their method Equal, if they have one.
	Equal func(S, S) bool
}

const maxSchema = 64

func (s Snapshots[S]) check() error {
	switch {
	case s.Every < 0:
		return fmt.Errorf("snapshots every %d changesets", s.Every)
	case len(s.Schema) > maxSchema:
		return fmt.Errorf("the schema of snapshots takes %d bytes, more than %d", len(s.Schema), maxSchema)
	case (s.Encode == nil) != (s.Decode == nil):
		return errors.New("snapshots need Encode and Decode, or neither")
	case s.Every == 0 || s.Encode != nil:
		return nil
	}
	if lost := lostInJSON(reflect.TypeFor[S]()); lost != "" {
		return fmt.Errorf("a snapshot in JSON would lose %s: set Snapshots.Encode and Decode, or give it a JSON form", lost)
	}
	return nil
}

// due returns the newest version at or below the given one at which a snapshot is due.
func (s Snapshots[S]) due(version uint64) (uint64, bool) {
	if s.Every <= 0 {
		return 0, false
	}
	every := uint64(s.Every)
	count := (version + 1) / every * every
	return count - 1, count > 0
}

// lost returns what a snapshot lost of a state, empty if it lost nothing.
func (s Snapshots[S]) lost(state, read S) string {
	if s.Equal != nil {
		if s.Equal(state, read) {
			return ""
		}
		return "the state"
	}
	return lost(state, read)
}

// encode returns the state as a JSON value: bytes of a codec as base64.
func (s Snapshots[S]) encode(state S) (json.RawMessage, error) {
	if s.Encode == nil {
		return marshal(state)
	}
	raw, err := s.Encode(state)
	if err != nil {
		return nil, err
	}
	return json.Marshal(raw)
}

func (s Snapshots[S]) decode(value json.RawMessage) (state S, err error) {
	if s.Decode == nil {
		return state, json.Unmarshal(value, &state)
	}
	var raw []byte
	if err := json.Unmarshal(value, &raw); err != nil {
		return state, err
	}
	return s.Decode(raw)
}
