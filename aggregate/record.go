package aggregate

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"ropewalk/changeset"
	"ropewalk/internal/eventline"
)

// ContentType is the content type of the changesets that a [Repository] saves:
// NDJSON, one event a line. Reading takes any content of such lines.
const ContentType = "application/x-ndjson"

// Position is an event's place in the history of its aggregate.
type Position struct {
	// Version is the version of the event's changeset.
	Version uint64
	// Index is the event's place in it, from 0. Events that an upcaster has
	// split have the same one.
	Index int
}

// Recorded is an event as it was recorded.
type Recorded[E any] struct {
	Event E
	// Type is the event's name, as in [Events].
	Type string
	// ID is unique to the event: a UUID, if the event was saved by a [Repository].
	ID string
	// Time is when the event happened; zero if it was not recorded.
	Time time.Time
	// Metadata is what [With] and [WithMetadata] have added; nil if nothing.
	Metadata map[string]string
	// Position is set where the event was read from a chain.
	Position
}

// Raw is an event in its stored form.
type Raw struct {
	// Type is the name under which the event is stored.
	Type string
	// ID, Time and Metadata are the same as in [Recorded].
	ID       string
	Time     time.Time
	Metadata map[string]string
	// Data is what the [Codec] has made of the event: one JSON value.
	Data json.RawMessage
}

// line is the stored form of one event.
type line struct {
	Type string            `json:"type"`
	ID   string            `json:"id,omitempty"`
	Time string            `json:"time,omitempty"`
	Data json.RawMessage   `json:"data"`
	Meta map[string]string `json:"meta,omitempty"`
}

// encode returns the stored form of records, and the records as they are read
// back, before any upcaster.
func (p *plan[S, E]) encode(records []Recorded[E]) (content []byte, read []Recorded[E], err error) {
	read = make([]Recorded[E], len(records))
	for i, r := range records {
		text, err := p.encodeLine(r)
		if err == nil {
			read[i], err = p.readBack(text, r)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("event %d: %w", i, err)
		}
		read[i].Index = i
		content = append(append(content, text...), '\n')
	}
	return content, read, nil
}

// readBack reads the line of a record. It fails if what it reads is not what
// was written.
func (p *plan[S, E]) readBack(line []byte, r Recorded[E]) (read Recorded[E], err error) {
	defer recovered(&err)
	raw, err := decodeLine(line)
	if err != nil {
		return read, fmt.Errorf("it could not be read back: %w", err)
	}
	event, err := p.Codec.Decode(raw.Data, p.Events[raw.Type])
	if err != nil {
		return read, fmt.Errorf("%q could not be read back: %w", raw.Type, err)
	}
	lost := p.lost(r.Event, event)
	switch {
	case raw.ID != r.ID:
		lost = "the ID, which is not UTF-8,"
	case !raw.Time.Equal(r.Time):
		lost = "the time"
	case !maps.Equal(raw.Metadata, r.Metadata):
		lost = "metadata, which is not UTF-8,"
	}
	if lost != "" {
		return read, fmt.Errorf("%q: %w", raw.Type, &lossError{lost})
	}
	return Recorded[E]{Event: event, Type: raw.Type, ID: raw.ID, Time: raw.Time, Metadata: raw.Metadata}, nil
}

// recovered makes an error of a panic in the decoding of what was just encoded:
// nothing is stored yet, and what is stored would panic in every load.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it could not be read back: decoding panics: %v", p)
	}
}

// lost returns what the codec lost of an event, empty if it lost nothing.
func (p *plan[S, E]) lost(event, read E) string {
	codec := p.Codec
	if b, ok := codec.(base64Codec[E]); ok {
		codec = b.binary
	}
	if c, ok := codec.(comparer[E]); ok && c.Equal(event, read) {
		return ""
	}
	return lost(event, read)
}

// lossError means that a value is not what comes back from its stored form.
type lossError struct{ what string }

func (e *lossError) Error() string {
	return e.what + " would not come back from storage as it is"
}

func (p *plan[S, E]) encodeLine(r Recorded[E]) ([]byte, error) {
	name, err := p.nameOf(r.Event)
	if err != nil {
		return nil, err
	}
	data, err := p.Codec.Encode(r.Event)
	if err != nil {
		return nil, fmt.Errorf("encode %q: %w", name, err)
	}
	l := line{Type: name, ID: r.ID, Data: data, Meta: r.Metadata}
	if !r.Time.IsZero() {
		l.Time = changeset.FormatTime(r.Time)
	}
	text, err := marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode %q: %w", name, err)
	}
	return text, nil
}

// read decodes a changeset, and says in errors which one it is.
func (p *plan[S, E]) read(c changeset.Changeset) ([]Recorded[E], error) {
	records, err := p.decode(c.Content)
	for i := range records {
		records[i].Version = c.Version
	}
	return records, located(err, c.Ref)
}

func (p *plan[S, E]) decode(content []byte) ([]Recorded[E], error) {
	var records []Recorded[E]
	for index, text := range eventline.Lines(content) {
		raw, err := decodeLine(text)
		if err != nil {
			return nil, &DecodeError{Position: Position{Index: index}, Type: raw.Type, Err: err}
		}
		if records, err = p.append(records, raw, index); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func decodeLine(text []byte) (Raw, error) {
	e, err := eventline.ParseEvent(text)
	return Raw{Type: e.Type, ID: e.ID, Time: e.Time, Metadata: e.Metadata, Data: e.Data}, err
}

// append adds the present events that a stored one stands for.
func (p *plan[S, E]) append(records []Recorded[E], stored Raw, index int) ([]Recorded[E], error) {
	at := Position{Index: index}
	raws, err := upcast(p.Upcasters, stored)
	if err != nil {
		return nil, &DecodeError{Position: at, Type: stored.Type, Err: err}
	}
	for _, raw := range raws {
		event, err := p.event(raw, at)
		if err != nil {
			return nil, err
		}
		records = append(records, Recorded[E]{Event: event, Type: raw.Type, ID: raw.ID, Time: raw.Time, Metadata: raw.Metadata, Position: at})
	}
	return records, nil
}

func (p *plan[S, E]) event(raw Raw, at Position) (event E, err error) {
	prototype, known := p.Events[raw.Type]
	if known {
		if event, err = p.Codec.Decode(raw.Data, prototype); err != nil {
			err = &DecodeError{Position: at, Type: raw.Type, Err: err}
		}
		return event, err
	}
	if p.Unknown != nil {
		if event, ok := p.Unknown(raw); ok {
			return event, nil
		}
	}
	return event, &UnknownEventError{Position: at, Type: raw.Type}
}
