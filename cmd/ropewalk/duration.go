package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// durationValue is the value of a flag: a duration with days, such as 7d, 12h
// or 1d12h. A day has 24 hours.
type durationValue time.Duration

func (d *durationValue) Set(s string) error {
	parsed, err := parseDuration(s)
	if err == nil {
		*d = durationValue(parsed)
	}
	return err
}

func (d *durationValue) String() string { return formatDuration(time.Duration(*d)) }

func (d *durationValue) Type() string { return "duration" }

var withDays = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

func parseDuration(s string) (time.Duration, error) {
	rest, total := s, time.Duration(0)
	if m := withDays.FindStringSubmatch(s); m != nil {
		days, _ := strconv.Atoi(m[1]) // five digits
		total, rest = time.Duration(days)*day, m[2]
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

// formatDuration returns a duration as a flag takes it: 7d, 36h, 1h30m.
func formatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
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
