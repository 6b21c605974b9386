package head_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var update = flag.Bool("update", false, "write the golden files anew")

// requireGolden compares a text with the golden file of that name.
func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test -update writes it anew; a format never changes, though")
}

// id is the ID that the changeset at a version has in these tests.
func id(version uint64) changeset.ID {
	made, err := changeset.ParseID("01991f3c-8a4e-7000-8000-" + leftPad(strconv.FormatUint(version, 16), 12))
	if err != nil {
		panic(err)
	}
	return made
}

func leftPad(s string, n int) string { return strings.Repeat("0", n-len(s)) + s }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

// headAt returns a head of that version after as many swaps, and two fences.
func headAt(aggregateID string, version uint64) head.Head {
	var ix changeset.Index
	for v := range version + 1 {
		ix = ix.Push(id(v))
	}
	return head.Head{
		Ref:       changeset.Ref{AggregateID: aggregateID, Version: version, ID: id(version)},
		Digest:    changeset.Digest{byte(version), 2, 3},
		Ancestors: ix,
		Revision:  version + 3,
		UpdatedAt: noon,
		State:     head.Live,
	}
}

// encode returns the JSON of a head.
func encode(t testing.TB, h head.Head) string {
	t.Helper()
	record, err := head.EncodeJSON(h)
	require.NoError(t, err)
	return string(record)
}

// requireNotApplied checks a refusal that no repetition helps.
func requireNotApplied(t *testing.T, err error, reason string) {
	t.Helper()
	var notApplied *head.NotAppliedError
	require.ErrorAs(t, err, &notApplied, reason)
	require.False(t, notApplied.Retryable)
	require.ErrorContains(t, err, reason)
}

// chain is a history built by Extend: what is stored, in order, and its head.
type chain struct {
	changesets []changeset.Changeset
	head       head.Head
}

func (c *chain) append(t testing.TB, at time.Time, drafts ...changeset.Draft) {
	t.Helper()
	built, next, err := link.Extend(c.head, "order-4711", drafts, at)
	require.NoError(t, err)
	c.changesets = append(c.changesets, built...)
	c.head = next
}
