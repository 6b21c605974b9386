package cliexit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/finding"
)

// A failure of a SQLite file has exit code 7 or 6, and a hint that fits a file.
func TestFailuresOfAFile(t *testing.T) {
	late := fmt.Errorf("%w: %w", context.DeadlineExceeded, sqlitestore.ErrBusy)
	for _, failure := range []struct {
		err  error
		exit int
		hint string
	}{
		{late, 7, "another program holds the lock"},
		{sqlitestore.ErrReplaced, 7, "what replaced the file"},
		{fmt.Errorf("%w: %w", sqlitestore.ErrUnavailable, syscall.ENOSPC), 7, "free space"},
		{fmt.Errorf("%w: %w", sqlitestore.ErrUnavailable, fs.ErrPermission), 7, "check the modes"},
		{&ropewalk.CorruptError{Object: "sqlite:x.db", Reason: "malformed"}, 6, "ropewalk restore"},
		{&ropewalk.CorruptError{Object: "s3://b/k", Reason: "malformed"}, 6, ""},
	} {
		require.Equal(t, failure.exit, Classify(t.Context(), failure.err).Exit, failure.err)
		hint := Hint(failure.err, noHint)
		require.Contains(t, hint, failure.hint)
		require.NotContains(t, hint, "region")
		require.Equal(t, failure.hint == "", hint == "", hint)
	}
}

func noHint(error) string { return "" }

// The hint that an error carries wins over a hint that is found for it.
func TestOrderOfHints(t *testing.T) {
	busy := sqlitestore.ErrBusy
	ofAppend := func(error) string { return "settle it" }
	require.Equal(t, "outer", Hint(WithHint(WithHint(busy, "inner"), "outer"), ofAppend))
	require.Equal(t, "set it up", Hint(fmt.Errorf("open: %w", &finding.SetupError{What: "no bucket", Hint: "set it up"}), ofAppend))
	require.Equal(t, "settle it", Hint(busy, ofAppend))
	require.Contains(t, Hint(Wrap(Usage, busy), noHint), "another program holds the lock")
	require.Contains(t, Hint(ropewalk.ErrHeadLost, noHint), "restored or tampered with")
	require.Empty(t, Hint(errors.New("some other"), noHint))
}

func TestHintsOfSilentStorages(t *testing.T) {
	require.Contains(t, SilentHint(os.ErrDeadlineExceeded, "file:x.db"), "the file does not answer")
	require.Contains(t, SilentHint(os.ErrDeadlineExceeded, "azure://a/"), "check the account")
	require.Contains(t, SilentHint(os.ErrDeadlineExceeded, "s3://b/"), "check the endpoint, the region")
	require.Empty(t, SilentHint(errors.New("denied"), "s3://b/"))
}
