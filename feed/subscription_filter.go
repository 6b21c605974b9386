package feed

import (
	"slices"
	"strings"

	"ropewalk/head"
	"ropewalk/internal/eventline"
)

// wants reports whether the changes of an advance may be for the handler. If not,
// they are not read.
func (o *SubscriptionOptions) wants(a head.Advance) bool {
	switch {
	case o.Erasures == OnlyErasures && !a.Erased, o.Erasures == WithoutErasures && a.Erased:
		return false
	}
	return strings.HasPrefix(a.AggregateID, o.Prefix) && o.Share.has(a.AggregateID)
}

// delivers reports whether a change that was read is for the handler.
func (o *SubscriptionOptions) delivers(c Change) bool {
	if c.Erased {
		return o.Erasures != WithoutErasures
	}
	return len(o.Types) == 0 || hasType(c, o.Types)
}

// contentTypeOfEvents is the content type by which package aggregate stores events.
const contentTypeOfEvents = "application/x-ndjson"

// hasType reports whether a changeset has an event of one of the types, or a line
// that should be an event and is not.
func hasType(c Change, types []string) bool {
	for _, text := range eventline.Lines(c.Content) {
		line, err := eventline.Parse(text)
		if err != nil && c.ContentType == contentTypeOfEvents || err == nil && slices.Contains(types, line.Type) {
			return true
		}
	}
	return false
}
