package main

import (
	"bytes"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/internal/eventline"
)

// logFlags are the flags of log.
type logFlags struct {
	reverse      bool
	limit        uint64
	full         bool
	events       bool
	since, until string
	kind, text   string
}

// eventFilter says which events log lists. The zero filter wants all of them.
type eventFilter struct {
	since, until time.Time
	kind         string
	text         []byte
}

// filter checks the flags that choose what is listed.
func (f logFlags) filter() (out eventFilter, err error) {
	if !f.events && (f.kind != "" || f.text != "") {
		return out, cliexit.Usagef("--type and --grep read the contents: add --events")
	}
	out = eventFilter{kind: f.kind, text: []byte(f.text)}
	if f.since != "" {
		if out.since, err = reference.ParseSince(f.since); err != nil {
			return out, cliexit.Usagef("--since: %w", err)
		}
	}
	if f.until != "" {
		if out.until, err = reference.ParseUntil(f.until); err != nil {
			return out, cliexit.Usagef("--until: %w", err)
		}
	}
	return out, nil
}

// all reports whether every event is wanted.
func (f eventFilter) all() bool {
	return f.since.IsZero() && f.until.IsZero() && f.kind == "" && len(f.text) == 0
}

// has reports whether an event is wanted.
func (f eventFilter) has(e ndjson.Event) bool {
	if f.kind != "" && e.Type != f.kind || !bytes.Contains(e.Text, f.text) {
		return false
	}
	at := timeOf(e)
	return (f.since.IsZero() || !at.Before(f.since)) && (f.until.IsZero() || !at.After(f.until))
}

// count returns the number of wanted events of a changeset.
func (f eventFilter) count(c changeset.Changeset) (n uint64) {
	for e := range ndjson.Events(c, false) {
		if f.has(e) {
			n++
		}
	}
	return n
}

// timeOf returns the time of an event, or of its changeset if the event has no time
// that parses.
func timeOf(e ndjson.Event) time.Time {
	if at, err := eventline.ParseTime(e.Time); e.Time != "" && err == nil {
		return at
	}
	return e.RecordedAt
}
