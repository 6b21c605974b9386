package eventline

import (
	"fmt"
	"strings"
	"time"
)

// pattern is how a time of RFC 3339 begins; each 0 stands for a digit.
const pattern = "0000-00-00T00:00:00"

// ParseTime reads a time exactly as RFC 3339 writes it: T and Z may be lower
// case; a comma before the fraction, an offset of 24 hours or more and a space
// for the T are errors. Digits after the ninth of the fraction are dropped.
//
// Go's times have no leap seconds. A second 60, which is valid where a month
// ends in UTC, becomes the second after it, as in POSIX: 23:59:60.5 is read as
// 00:00:00.5 of the next day. Whether that minute really had a leap second is
// not checked, since future ones are unknown.
func ParseTime(text string) (time.Time, error) {
	t, ok := parseTime(text)
	if !ok {
		return time.Time{}, fmt.Errorf("the time %q is not one of RFC 3339, such as 2006-01-02T15:04:05Z", text)
	}
	return t, nil
}

func parseTime(text string) (time.Time, bool) {
	if !begins(text) {
		return time.Time{}, false
	}
	year, month, day := number(text[:4]), number(text[5:7]), number(text[8:10])
	hour, minute, second := number(text[11:13]), number(text[14:16]), number(text[17:19])
	nanos, rest := fraction(text[len(pattern):])
	zone, ok := location(rest)
	if !ok || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	return t, second < 60 || beginsMonth(t.UTC())
}

// begins reports whether a text begins as a time does.
func begins(text string) bool {
	if len(text) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		c := text[i]
		if isDigit(c) != (pattern[i] == '0') || !isDigit(c) && c != pattern[i] && (pattern[i] != 'T' || c != 't') {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number returns the number that digits are.
func number(digits string) (n int) {
	for _, d := range []byte(digits) {
		n = 10*n + int(d-'0')
	}
	return n
}

func daysOf(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

// beginsMonth reports whether a time is within the first second of a month.
func beginsMonth(t time.Time) bool {
	return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0
}

// fraction returns the nanoseconds that a text begins with, and the rest of
// it: the whole text if it does not begin with a point and digits.
func fraction(text string) (nanos int, rest string) {
	digits, ok := strings.CutPrefix(text, ".")
	rest = strings.TrimLeft(digits, "0123456789")
	if n := len(digits) - len(rest); ok && n > 0 {
		return number((digits[:n] + "000000000")[:9]), rest
	}
	return 0, text
}

// location returns the zone of the offset that a text is.
func location(text string) (*time.Location, bool) {
	if text == "Z" || text == "z" {
		return time.UTC, true
	}
	if len(text) != len("+00:00") || text[0] != '+' && text[0] != '-' || text[3] != ':' ||
		!isDigit(text[1]) || !isDigit(text[2]) || !isDigit(text[4]) || !isDigit(text[5]) {
		return nil, false
	}
	hours, minutes := number(text[1:3]), number(text[4:])
	if hours > 23 || minutes > 59 {
		return nil, false
	}
	offset := 60 * (60*hours + minutes)
	if text[0] == '-' {
		offset = -offset
	}
	if offset == 0 {
		return time.UTC, true
	}
	return time.FixedZone("", offset), true
}
