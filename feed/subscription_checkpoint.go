package feed

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// formatOfSubscriptions is the format number of definitions and checkpoints.
const formatOfSubscriptions = 1

// checkpoint is how far a subscription has come, and who owns it.
type checkpoint struct {
	of       uint64 // the version of the definition that it belongs to
	owner    string // a random text for each run; empty if no run owns it
	fence    uint64 // grows with each owner
	beat     uint64 // grows with each save
	position Position
	replay   bool
	parked   map[string]Parked // by aggregate ID
}

// Parked is an aggregate whose changes stay unhandled from one change on.
type Parked struct {
	AggregateID string
	// Version is the version of the first change that is not handled.
	Version uint64
	// Position is the place before that change, or an earlier place after which no
	// other change of the aggregate comes first.
	Position Position
	// Reason says why the change was not handled: "error", "panic" or "timeout". The
	// log of the subscription has the error.
	Reason string
}

// text returns the checkpoint as the head stores it.
func (c checkpoint) text() string {
	values := url.Values{
		"format":     {strconv.Itoa(formatOfSubscriptions)},
		"definition": {strconv.FormatUint(c.of, 10)},
		"fence":      {strconv.FormatUint(c.fence, 10)},
		"beat":       {strconv.FormatUint(c.beat, 10)},
		"position":   {c.position.String()},
	}
	if c.owner != "" {
		values.Set("owner", c.owner)
	}
	if c.replay {
		values.Set("replay", "true")
	}
	for _, p := range c.sortedParked() {
		values.Add("parked", strings.Join([]string{strconv.FormatUint(p.Version, 10), p.Position.String(), p.Reason, p.AggregateID}, " "))
	}
	return values.Encode()
}

// sortedParked returns the parked aggregates, sorted by ID.
func (c checkpoint) sortedParked() []Parked {
	return slices.SortedFunc(maps.Values(c.parked), func(p, q Parked) int { return cmp.Compare(p.AggregateID, q.AggregateID) })
}

// parseCheckpoint reads the checkpoint of a head. Its error is
// a [*ropewalk.CorruptError], or matches [ropewalk.ErrUnsupportedFormat].
func parseCheckpoint(h head.Head) (checkpoint, error) {
	values, err := url.ParseQuery(h.Checkpoint)
	if err == nil {
		var format uint64
		if format, err = strconv.ParseUint(values.Get("format"), 10, 64); err == nil && format > formatOfSubscriptions {
			return checkpoint{}, fmt.Errorf("%q: %w: its checkpoint has format %d, this version reads %d", h.AggregateID, ropewalk.ErrUnsupportedFormat, format, formatOfSubscriptions)
		}
	}
	var c checkpoint
	if err == nil {
		c, err = checkpointOf(values)
	}
	if err != nil {
		return checkpoint{}, &ropewalk.CorruptError{Ref: ropewalk.Ref{AggregateID: h.AggregateID}, Reason: "its checkpoint is not one of a subscription: " + err.Error()}
	}
	return c, nil
}

func checkpointOf(values url.Values) (c checkpoint, err error) {
	var errs [4]error
	c.of, errs[0] = changeset.ParseDecimal(values.Get("definition"))
	c.fence, errs[1] = changeset.ParseDecimal(values.Get("fence"))
	c.beat, errs[2] = changeset.ParseDecimal(values.Get("beat"))
	c.position, errs[3] = ParsePosition(values.Get("position"))
	c.owner, c.replay = values.Get("owner"), values.Get("replay") == "true"
	if err := errors.Join(errs[:]...); err != nil {
		return c, err
	}
	c.parked = map[string]Parked{}
	for _, text := range values["parked"] {
		p, err := parseParked(text)
		if err != nil {
			return c, err
		}
		c.parked[p.AggregateID] = p
	}
	return c, nil
}

func parseParked(text string) (p Parked, err error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return p, fmt.Errorf("%.200q is not a parked aggregate", text)
	}
	p.Reason, p.AggregateID = parts[2], parts[3]
	if p.Version, err = changeset.ParseDecimal(parts[0]); err != nil {
		return p, err
	}
	if p.Position, err = ParsePosition(parts[1]); err != nil {
		return p, err
	}
	return p, changeset.ValidateAggregateID(p.AggregateID)
}
