package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// subscriptionJSON is a subscription with --json. Without a lag it is unknown how far
// it has come: its position is not in the feed.
type subscriptionJSON struct {
	ui.Kind
	Name      string       `json:"name"`
	Owner     string       `json:"owner,omitempty"`
	Fence     uint64       `json:"fence"`
	Position  string       `json:"position,omitempty"`
	Lag       *lagJSON     `json:"lag,omitempty"`
	Parked    []parkedJSON `json:"parked,omitempty"`
	Replaying bool         `json:"replaying,omitempty"`
}

type lagJSON struct {
	Changes   uint64 `json:"changes"`
	AtLeast   bool   `json:"at_least,omitempty"`
	OldestAt  string `json:"oldest_at,omitempty"`
	OldestAge *int64 `json:"oldest_seconds,omitempty"`
}

type parkedJSON struct {
	Aggregate string `json:"aggregate"`
	Version   uint64 `json:"version"`
	Position  string `json:"position,omitempty"`
	Reason    string `json:"reason"`
}

// subscriptionDeletedJSON is the result of subscriptions --delete with --json.
type subscriptionDeletedJSON struct {
	ui.Kind
	Name string `json:"name"`
}

// standing is how far a subscription has come at a time.
type standing struct {
	feed.SubscriptionStatus
	lag    feed.Lag
	lagErr error // why the lag is unknown
	now    time.Time
}

func (s standing) name() string { return subscriptionName(s.Name, s.Share) }

// measure finds how far a subscription has come. A position that the feed does not
// have is no error of measuring.
func measure(ctx context.Context, sub *feed.Subscription, status feed.SubscriptionStatus) (standing, error) {
	lag, err := sub.Lag(ctx)
	s := standing{status, lag, err, time.Now()}
	if err != nil && !errors.Is(err, feed.ErrOtherHistory) && !errors.Is(err, feed.ErrNoFeed) {
		return s, err
	}
	if err != nil {
		s.lagErr = cliexit.WithHint(err, "see ropewalk feed status, and let it go on: %s",
			ui.Flagged("ropewalk subscriptions", s.name(), "--reset start"))
	}
	return s, nil
}

// listSubscriptions prints a row for each subscription. A position that the feed does
// not have does not end the list, and is the error of the command.
func listSubscriptions(ctx context.Context, std *ui.Streams, f *feed.Feed) error {
	all, ended := measureAll(ctx, f)
	if ended != nil && len(all) == 0 {
		return ended // a header alone would read as an empty store
	}
	var unknown error
	for _, s := range all {
		unknown = cmp.Or(unknown, s.lagErr)
	}
	out := ui.NewTable(std.Out, "NAME", "LAG", "OLDEST", "PARKED", "OWNER", "POSITION").AlignRight(1, 2, 3)
	err := printRows(std, out, succeeding(all), func(s standing) any { return s.json() }, standing.row)
	return errors.Join(err, ended, unknown)
}

// measureAll returns how far each subscription has come, up to the first error.
func measureAll(ctx context.Context, f *feed.Feed) (all []standing, err error) {
	for status, err := range f.Subscriptions(ctx) {
		if err != nil {
			return all, err
		}
		s, err := measure(ctx, f.Subscription(status.Name, &feed.SubscriptionOptions{Share: status.Share}), status)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// succeeding yields the items without an error.
func succeeding[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (s standing) row() []string {
	return []string{s.name(), s.lagText(), s.oldestText(), strconv.Itoa(len(s.Parked)), orDash(s.Owner), orDash(s.Position.String())}
}

func (s standing) lagText() string {
	text := ui.Thousands(int64(s.lag.Changes))
	switch {
	case s.lagErr != nil:
		return "unknown"
	case s.lag.AtLeast:
		return text + "+"
	default:
		return text
	}
}

func (s standing) oldestText() string {
	if s.lag.Oldest.IsZero() {
		return "-"
	}
	return ui.FormatDuration(age(s.lag.Oldest, s.now))
}

// orDash returns a dash for an empty cell.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func showSubscription(ctx context.Context, std *ui.Streams, sub *feed.Subscription) error {
	status, err := sub.Status(ctx)
	if err != nil {
		return err
	}
	s, err := measure(ctx, sub, status)
	if err != nil {
		return err
	}
	if std.JSON {
		return errors.Join(std.Emit(s.json()), s.lagErr)
	}
	return errors.Join(std.Print("%s", s.text()), s.lagErr)
}

func (s standing) text() ui.Safe {
	var b strings.Builder
	field := func(name string, value any) { b.WriteString(string(ui.Safef("%-8s  %s\n", name, fmt.Sprint(value)))) }
	field("name", s.name())
	lag := s.lagText()
	if s.lagErr == nil && s.lag.Changes == 1 {
		lag += " change"
	} else if s.lagErr == nil {
		lag += " changes"
	}
	if !s.lag.Oldest.IsZero() {
		lag += fmt.Sprintf(", the oldest %s old, of %s", s.oldestText(), ui.Seconds(s.lag.Oldest))
	}
	field("lag", lag)
	field("position", orDash(s.Position.String()))
	field("owner", orDash(s.Owner))
	field("fence", s.Fence)
	for _, p := range s.Parked {
		field("parked", parkedText(p))
	}
	if s.Replaying {
		field("replay", "the owner, or the next one, replays the parked aggregates")
	}
	return ui.Safe(b.String())
}

// parkedText says which changes of an aggregate are parked, and why.
func parkedText(p feed.Parked) string {
	return fmt.Sprintf("%s from version %d on, after: %s", p.AggregateID, p.Version, p.Reason)
}

func (s standing) json() subscriptionJSON {
	out := subscriptionJSON{
		Kind: ui.KindOf("subscription"), Name: s.name(), Owner: s.Owner, Fence: s.Fence, Position: s.Position.String(), Replaying: s.Replaying,
	}
	for _, p := range s.Parked {
		out.Parked = append(out.Parked, parkedJSON{p.AggregateID, p.Version, p.Position.String(), p.Reason})
	}
	if s.lagErr != nil {
		return out
	}
	out.Lag = &lagJSON{Changes: s.lag.Changes, AtLeast: s.lag.AtLeast}
	if !s.lag.Oldest.IsZero() {
		seconds := int64(age(s.lag.Oldest, s.now).Seconds())
		out.Lag.OldestAt, out.Lag.OldestAge = changeset.FormatTime(s.lag.Oldest), &seconds
	}
	return out
}
