package ui

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Day is a day of 24 hours.
const Day = 24 * time.Hour

// Duration is the value of a flag: a duration with days, such as 7d, 12h
// or 1d12h.
type Duration time.Duration

// Set parses the value.
func (d *Duration) Set(s string) error {
	parsed, err := parseDuration(s)
	if err == nil {
		*d = Duration(parsed)
	}
	return err
}

// String returns the value as the flag takes it.
func (d *Duration) String() string { return FormatDuration(time.Duration(*d)) }

// Type names the value in the help of a command.
func (d *Duration) Type() string { return "duration" }

var withDays = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

func parseDuration(s string) (time.Duration, error) {
	rest, total := s, time.Duration(0)
	if m := withDays.FindStringSubmatch(s); m != nil {
		days, _ := strconv.Atoi(m[1]) // five digits
		total, rest = time.Duration(days)*Day, m[2]
		if rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, errors.New("want a duration like 7d, 12h or 90m")
	}
	return total + d, nil
}

// FormatDuration returns a duration as a flag takes it: 7d, 36h, 1h30m.
func FormatDuration(d time.Duration) string {
	if d >= Day && d%Day == 0 {
		return strconv.Itoa(int(d/Day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Age returns how long ago something was, for the column of a table, in its largest
// unit: 5s, 12m, 4h, 30d. A time ahead of the clock of this machine is 0s ago.
func Age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < Day:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	default:
		return strconv.Itoa(int(d/Day)) + "d"
	}
}
