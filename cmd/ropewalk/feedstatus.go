package main

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// feedStatusJSON is the result of feed status with --json.
type feedStatusJSON struct {
	ui.Kind
	Log        bool     `json:"log,omitempty"`
	Unfed      bool     `json:"unfed"`
	OldestAt   string   `json:"oldest_unfed_at,omitempty"`
	OldestAge  *int64   `json:"oldest_unfed_seconds,omitempty"`
	Generation string   `json:"generation"`
	Source     string   `json:"source,omitempty"`
	End        string   `json:"end,omitempty"`
	Batches    uint64   `json:"batches"`
	Aggregates int      `json:"aggregates"`
	FedAt      string   `json:"fed_at,omitempty"`
	Sweeping   bool     `json:"sweeping,omitempty"`
	Unread     []string `json:"unread,omitempty"`
}

func newFeedStatus(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show where the feed stands, and the age of the oldest change that it lacks",
		Long: `Show where the feed stands. The first line is the one to watch: the age of the
oldest change that the feed lacks. If no relay runs, this age grows, while every
subscription seems to have everything.`,
		Example:           `  ropewalk feed status`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), stores, func(s *store) error {
				status, err := s.feed().Status(cmd.Context())
				if err != nil {
					return err
				}
				return printStatus(std, status, time.Now())
			})
		},
	}
}

func printStatus(std *ui.Streams, s feed.Status, now time.Time) error {
	if s.Unfed {
		defer std.Warn("the feed lacks changes, and only a relay feeds them: ropewalk relay")
	}
	if std.JSON {
		return std.Emit(newFeedStatusJSON(s, now))
	}
	return std.Print("%s", statusText(s, now))
}

func newFeedStatusJSON(s feed.Status, now time.Time) feedStatusJSON {
	out := feedStatusJSON{
		Kind: ui.KindOf("feed-status"), Log: s.Log, Unfed: s.Unfed, Generation: s.Generation, Source: s.Source, End: s.End.String(),
		Batches: s.Batches, Aggregates: s.Aggregates, Sweeping: s.Sweeping, Unread: s.Unread,
	}
	if !s.FedAt.IsZero() {
		out.FedAt = changeset.FormatTime(s.FedAt)
	}
	if !s.OldestUnfed.IsZero() {
		age := int64(age(s.OldestUnfed, now).Seconds())
		out.OldestAt, out.OldestAge = changeset.FormatTime(s.OldestUnfed), &age
	}
	return out
}

// age returns how long ago something happened; 0 if that was in the future, by a
// clock that differs.
func age(t, now time.Time) time.Duration { return max(now.Sub(t), 0).Truncate(time.Second) }

func statusText(s feed.Status, now time.Time) ui.Safe {
	var b strings.Builder
	for name, value := range statusFields(s, now) {
		b.WriteString(string(ui.Safef("%-10s  %s\n", name, value)))
	}
	return ui.Safe(b.String())
}

// statusFields yields the names and the values of a status for people.
func statusFields(s feed.Status, now time.Time) iter.Seq2[string, string] {
	type field struct{ name, value string }
	fields := []field{{"unfed", unfedText(s, now)}, {"generation", s.Generation}}
	add := func(name, value string) { fields = append(fields, field{name, value}) }
	if !s.Log {
		add("source", s.Source)
		add("batches", strconv.FormatUint(s.Batches, 10))
		add("aggregates", strconv.Itoa(s.Aggregates))
	}
	if !s.FedAt.IsZero() {
		add("fed", fmt.Sprintf("%s, %s ago", ui.Seconds(s.FedAt), ui.FormatDuration(age(s.FedAt, now))))
	}
	if s.Sweeping {
		add("sweep", "not finished: the next relay begins it again")
	}
	for _, id := range s.Unread {
		add("unread", fmt.Sprintf("the head of %s does not decode", id))
	}
	if !s.End.IsZero() {
		add("end", s.End.String())
	}
	return func(yield func(string, string) bool) {
		for _, f := range fields {
			if !yield(f.name, f.value) {
				return
			}
		}
	}
}

// unfedText says what the feed lacks.
func unfedText(s feed.Status, now time.Time) string {
	switch {
	case s.Log:
		return "nothing, since the log of the store is its feed"
	case !s.Unfed:
		return "nothing"
	case s.OldestUnfed.IsZero():
		return "unknown: a sweep is due"
	default:
		return fmt.Sprintf("changes, the oldest %s old, of %s", ui.FormatDuration(age(s.OldestUnfed, now)), ui.Seconds(s.OldestUnfed))
	}
}
