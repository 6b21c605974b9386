package watermill

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"ropewalk/aggregate"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/internal/eventline"
)

// The metadata of messages, see [Form.Messages].
const (
	Aggregate   = "aggregate"
	Version     = "version"
	Changeset   = "changeset"
	Index       = "index"
	Position    = "position"
	Type        = "type"
	Time        = "time"
	ContentType = "content_type"
	Erased      = "erased"
	// CorrelationID is the key that Watermill's own middleware uses.
	CorrelationID = "correlation_id"
)

// Form decides which messages are made of a change. The zero Form makes a message of
// each event.
type Form struct {
	// Changesets makes one message of each changeset, also if it has events. The payload
	// is the content of the changeset.
	Changesets bool
	// Metadata are keys of the metadata of events, such as aggregate.Traceparent, that
	// the messages have, too; of the metadata of changesets in messages of changesets.
	// Watermill's publishers for SQS and SNS allow no more metadata than messages have
	// without it.
	Metadata []string
}

// Messages returns the messages of a change, in order: one of each event if the
// content has the content type of package aggregate, one for another changeset, and
// one for an erasure. The UUID of a message is
//
//	of an event      the ID of the changeset, "-" and the place of the event in it
//	of a changeset   the ID of the changeset
//	of an erasure    the ID of the last changeset, and "-erased"
//
// which is at most 57 letters, digits and dashes. Its metadata is
//
//	aggregate        the aggregate ID
//	version          the version of the changeset, in decimal digits
//	changeset        the ID of the changeset
//	index            the place of the event in the changeset, from 0; only for events
//	position         the place after the change in the feed
//	type             the name of the event; only for events
//	time             when the event happened, or else when its changeset was recorded, in the
//	                 form of RFC 3339; not for erasures
//	content_type     application/json; for changesets, the content type, if there is one
//	erased           true; only for erasures
//	correlation_id   the metadata aggregate.Correlation of the event, if it has one
//
// The payload is the data of the event as it is stored: upcasters are not applied. The
// payload of an erasure is the JSON value null, because some brokers refuse an empty
// message. A consumer then deletes what it has derived from the aggregate. An erasure
// may come more than once, and for an aggregate of which no message has come.
//
// Messages fails if a line of a changeset of events is not an event.
func (f Form) Messages(change feed.Change) ([]*message.Message, error) {
	switch {
	case change.Erased:
		m := newMessage(change, "-erased", []byte("null"))
		m.Metadata.Set(Erased, "true")
		m.Metadata.Set(ContentType, "application/json")
		return []*message.Message{m}, nil
	case f.Changesets || change.ContentType != aggregate.ContentType:
		m := newMessage(change, "", change.Content)
		setUnlessEmpty(m, ContentType, change.ContentType)
		setTime(m, change.RecordedAt)
		f.copyMetadata(m, change.Metadata)
		return []*message.Message{m}, nil
	}
	return f.events(change)
}

// events returns a message of each line of the content.
func (f Form) events(change feed.Change) (messages []*message.Message, err error) {
	for i, text := range eventline.Lines(change.Content) {
		e, err := eventline.ParseEvent(text)
		if err != nil {
			return nil, fmt.Errorf("event %d of %s: %w", i, change.Ref, err)
		}
		messages = append(messages, f.event(change, i, e))
	}
	return messages, nil
}

func (f Form) event(change feed.Change, index int, e eventline.Event) *message.Message {
	place := strconv.Itoa(index)
	m := newMessage(change, "-"+place, message.Payload(e.Data))
	m.Metadata.Set(Index, place)
	m.Metadata.Set(Type, e.Type)
	m.Metadata.Set(ContentType, "application/json")
	setTime(m, change.RecordedAt)
	setTime(m, e.Time)
	setUnlessEmpty(m, CorrelationID, e.Metadata[aggregate.Correlation])
	f.copyMetadata(m, e.Metadata)
	return m
}

// newMessage returns a message with the metadata that all messages have.
func newMessage(change feed.Change, suffix string, payload message.Payload) *message.Message {
	m := message.NewMessage(change.ID.String()+suffix, payload)
	m.Metadata.Set(Aggregate, change.AggregateID)
	m.Metadata.Set(Version, strconv.FormatUint(change.Version, 10))
	m.Metadata.Set(Changeset, change.ID.String())
	setUnlessEmpty(m, Position, change.Position.String())
	return m
}

func setTime(m *message.Message, t time.Time) {
	if !t.IsZero() {
		m.Metadata.Set(Time, changeset.FormatTime(t))
	}
}

// setUnlessEmpty sets metadata to a value. Some brokers refuse empty values.
func setUnlessEmpty(m *message.Message, key, value string) {
	if value != "" {
		m.Metadata.Set(key, value)
	}
}

// copyMetadata copies the metadata that the form names. What the message has already
// stays.
func (f Form) copyMetadata(m *message.Message, metadata map[string]string) {
	for _, key := range f.Metadata {
		if m.Metadata.Get(key) == "" {
			setUnlessEmpty(m, key, metadata[key])
		}
	}
}
