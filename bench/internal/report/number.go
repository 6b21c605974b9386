package report

import (
	"math"
	"strconv"
	"strings"
)

// Number returns a figure as people read it: three significant digits, and
// commas between the thousands.
func Number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	if v > 1000 {
		scale = 1
	}
	text := strconv.FormatFloat(math.Round(v*scale)/scale, 'f', digits, 64)
	whole, fraction, dotted := strings.Cut(text, ".")
	text = group(whole)
	if fraction = strings.TrimRight(fraction, "0"); dotted && fraction != "" {
		text += "." + fraction
	}
	return text
}

// Count returns a whole number with commas between the thousands.
func Count(n int) string { return group(strconv.Itoa(n)) }

func group(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
