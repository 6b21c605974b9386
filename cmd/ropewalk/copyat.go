package main

import (
	"strconv"
	"strings"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/transfer"
)

// parseAt reads the value of --at: a version or a time for all aggregates, or a reference,
// which names the one aggregate that is to be copied. The ID is empty for all.
func parseAt(value string) (id string, at *transfer.At, err error) {
	if value == "" {
		return "", nil, nil
	}
	if version, err := strconv.ParseUint(value, 10, 64); err == nil {
		return "", &transfer.At{Version: version}, nil
	}
	day := strings.TrimSuffix(strings.TrimPrefix(value, "{"), "}")
	if t, err := reference.ParseUntil(day); err == nil {
		return "", &transfer.At{Time: t}, nil
	}
	r, err := reference.Parse(value)
	switch {
	case err != nil:
		return "", nil, cliexit.Usagef("--at: %w", err)
	case r.Form == reference.Single:
		return r.ID, &transfer.At{Version: r.First}, nil
	case r.Form == reference.AsOf:
		return r.ID, &transfer.At{Time: r.At}, nil
	}
	return "", nil, cliexit.Usagef("--at %s: want a version, a time like 2026-01-31 or 2026-01-31T09:30:00Z, ID@VERSION, or ID@{TIME}", ui.Quote(value))
}
