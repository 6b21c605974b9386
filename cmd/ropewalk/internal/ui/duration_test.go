package ui

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 7 * Day, "1d": Day, "0d": 0, "36h": 36 * time.Hour, "168h": 7 * Day, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "90s": 90 * time.Second, "1.5h": 90 * time.Minute,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "d", "7", "7 d", "-7d", "-1h", "7d-1h", "1h7d", "7D", "1.5d", "999999d", "7dd", "seven"} {
		_, err := parseDuration(text)
		require.ErrorContains(t, err, "want a duration like 7d", text)
	}
	for d, want := range map[time.Duration]string{0: "0s", 7 * Day: "7d", 36 * time.Hour: "36h", 90 * time.Minute: "1h30m", time.Minute: "1m", 90 * time.Second: "1m30s", Day + time.Second: "24h0m1s"} {
		require.Equal(t, want, FormatDuration(d))
	}
}

// Every duration is printed as the flag takes it.
func TestDurationsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, int64(99_999*Day)).Draw(t, "d"))
		got, err := parseDuration(FormatDuration(want))
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", time.Minute - 1: "59s", time.Minute: "1m", time.Hour - 1: "59m", Day - 1: "23h", Day: "1d", 800 * Day: "800d",
	} {
		require.Equal(t, want, Age(d))
	}
}
