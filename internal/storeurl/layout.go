package storeurl

import (
	"fmt"
	"strconv"
	"strings"

	"ropewalk/head"
)

// Layout says how the writers that use a URL store their appends.
type Layout struct {
	// Packed means that the URL has format=packed: writers append to packed chains.
	Packed bool
	// TipSize is the option of package ropewalk: the parameter tip in bytes, -1 for tip=0,
	// and 0 if the parameter is missing.
	TipSize int
}

// LayoutParameters are the parameters of a [Layout].
var LayoutParameters = []string{"format", "tip"}

// CutLayout takes the parameters format and tip out of the URL of a store, which may be
// of any kind, and returns the rest as it was. A value that they cannot have, and a
// parameter that is given twice, are errors.
func CutLayout(rawURL string) (rest string, l Layout, err error) {
	rest, query, hasQuery := strings.Cut(rawURL, "?")
	if !hasQuery {
		return rawURL, Layout{}, nil
	}
	var others []string
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "format" && name != "tip" {
			others = append(others, pair)
			continue
		}
		if seen[name] {
			return "", Layout{}, fmt.Errorf("parameter %s is given twice", name)
		}
		seen[name] = true
		if err := l.set(name, value); err != nil {
			return "", Layout{}, err
		}
	}
	if len(others) > 0 {
		rest += "?" + strings.Join(others, "&")
	}
	return rest, l, nil
}

func (l *Layout) set(name, value string) error {
	if name == "format" {
		if l.Packed = value == "packed"; !l.Packed {
			return fmt.Errorf("parameter format=%s: want packed, or no such parameter", value)
		}
		return nil
	}
	bytes, err := strconv.ParseUint(value, 10, 32)
	if err != nil || bytes > head.MaxTip {
		return fmt.Errorf("parameter tip=%s: want a number of bytes, at most %d. Without it, tips have the size that suits the storage: %d bytes if the heads are in DynamoDB, %d bytes if they are objects",
			value, head.MaxTip, 3<<10, 64<<10)
	}
	if l.TipSize = int(bytes); bytes == 0 {
		l.TipSize = -1
	}
	return nil
}
