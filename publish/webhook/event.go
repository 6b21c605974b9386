package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"ropewalk/aggregate"
	"ropewalk/feed"
	"ropewalk/internal/eventline"
)

// The types of the CloudEvents that are not events of an aggregate. They have no
// prefix, so that they do not depend on the options of the sender.
const (
	// TypeChangeset is a changeset whose content is not in the form of package
	// aggregate. The content is the data.
	TypeChangeset = "ropewalk.changeset"
	// TypeErased is the erasure of the aggregate that is the subject. It has no data.
	// A receiver deletes what it has derived from the aggregate. It may arrive more than
	// once, and for an aggregate of which no event has arrived.
	TypeErased = "ropewalk.erased"
)

// The extension attributes of CloudEvents. Versions are text, because an Integer of
// CloudEvents has 32 bits.
const (
	extVersion  = "version"
	extIndex    = "index"
	extPosition = "position"
)

// traced are the extension attributes that CloudEvents documents for metadata of
// events.
var traced = map[string]string{
	aggregate.Correlation: "correlationid",
	aggregate.Causation:   "causationid",
	aggregate.Traceparent: "traceparent",
}

// Events returns the CloudEvents of a change. The attributes of each are:
//
//	id               the ID of the changeset, "-" and the place of the event in it; for an
//	                 erasure, the ID of the last changeset and "-erased"
//	source           [Options.Source]
//	type             [Options.TypePrefix] and the name of the event; [TypeChangeset], [TypeErased]
//	subject          the aggregate ID
//	time             when the event happened, or else when its changeset was recorded; none for
//	                 an erasure
//	datacontenttype  application/json; for other changesets, the content type
//	data             the data of the event as it is stored: upcasters are not applied
//	version          the version of the changeset, in decimal digits
//	index            the place of the event in the changeset, from 0; only for events
//	position         the place after the change in the feed, as text
//	correlationid, causationid, traceparent
//	                 metadata of the event; other metadata is not sent
//
// The content of another changeset is a JSON value if its type is application/json and
// it is valid, and otherwise base64. An invalid content type becomes
// application/octet-stream.
//
// Events fails if a line of a changeset of events is not an event. A program that
// selects or changes what is published passes what it makes of the events to
// [Sender.Send].
func (s *Sender) Events(change feed.Change) ([]event.Event, error) {
	switch {
	case change.Erased:
		return []event.Event{s.event(change, "-erased", TypeErased)}, nil
	case change.ContentType == aggregate.ContentType:
		return s.lines(change)
	}
	e := s.event(change, "", TypeChangeset)
	e.SetTime(change.RecordedAt)
	setContent(&e, change.ContentType, change.Content)
	return []event.Event{e}, nil
}

// event returns a CloudEvent with the attributes that all have.
func (s *Sender) event(change feed.Change, suffix, typ string) event.Event {
	e := event.New()
	e.SetID(change.ID.String() + suffix)
	e.SetSource(s.options.Source)
	e.SetType(typ)
	e.SetSubject(change.AggregateID)
	e.SetExtension(extVersion, strconv.FormatUint(change.Version, 10))
	if !change.Position.IsZero() {
		e.SetExtension(extPosition, change.Position.String())
	}
	return e
}

// lines returns an event for each line of the content.
func (s *Sender) lines(change feed.Change) (events []event.Event, err error) {
	for i, text := range eventline.Lines(change.Content) {
		recorded, err := eventline.ParseEvent(text)
		if err != nil {
			return nil, fmt.Errorf("line %d of %s: %w", i, change.Ref, err)
		}
		events = append(events, s.recorded(change, i, recorded))
	}
	return events, nil
}

func (s *Sender) recorded(change feed.Change, i int, recorded eventline.Event) event.Event {
	e := s.event(change, "-"+strconv.Itoa(i), s.options.TypePrefix+recorded.Type)
	e.SetExtension(extIndex, i)
	e.SetTime(change.RecordedAt)
	if !recorded.Time.IsZero() {
		e.SetTime(recorded.Time)
	}
	for key, name := range traced {
		if value := recorded.Metadata[key]; value != "" {
			e.SetExtension(name, value)
		}
	}
	setJSON(&e, event.ApplicationJSON, recorded.Data)
	return e
}

// setJSON sets data that is JSON, to the letter: the SDK would encode it again.
func setJSON(e *event.Event, contentType string, data []byte) {
	e.SetDataContentType(contentType)
	e.DataEncoded = data
}

func setContent(e *event.Event, contentType string, content []byte) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		contentType, mediaType = "application/octet-stream", ""
	}
	setJSON(e, contentType, content)
	// JSON of other types must be base64: the SDK makes a string of it, and the
	// specification a value.
	e.DataBase64 = mediaType != event.ApplicationJSON || !json.Valid(content) || !utf8.Valid(content)
}

// encode returns the JSON of an event. It fails if the event breaks a rule of
// CloudEvents or of Standard Webhooks.
func encode(e event.Event) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("event %q is not a CloudEvent: %w", e.ID(), err)
	}
	if !validID(e.ID()) {
		return nil, fmt.Errorf("the ID %q of an event cannot be signed: it must be 1 to %d printable ASCII characters, without space and dot", e.ID(), maxID)
	}
	texts := map[string]any{"type": e.Type(), "subject": e.Subject()}
	for name, value := range e.Extensions() {
		texts[name] = value
	}
	for name, value := range texts {
		if text, ok := value.(string); ok && strings.ContainsFunc(text, unicode.IsControl) {
			return nil, fmt.Errorf("event %q is not a CloudEvent: its attribute %s has a control character", e.ID(), name)
		}
	}
	var body bytes.Buffer
	err := event.WriteJson(&e, &body) // json.Marshal would rewrite the data
	return body.Bytes(), err
}
