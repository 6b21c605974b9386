package cliexit

import (
	"cmp"
	"errors"
	"strings"
	"syscall"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/feed"
	"ropewalk/internal/finding"
)

// Hint returns what to do about an error, or nothing. The hint that the error
// carries comes first; then the hint that ofAppend gives, which names an
// aggregate; then a hint by the cause.
func Hint(err error, ofAppend func(error) string) string {
	return cmp.Or(carriedHint(err), ofAppend(err), fileHint(err), causeHint(err))
}

func carriedHint(err error) string {
	if e := first(err, func(e *cliError) bool { return e.hint != "" }); e != nil {
		return e.hint
	}
	if setup, ok := errors.AsType[*finding.SetupError](err); ok {
		return setup.Hint
	}
	return ""
}

func causeHint(err error) string {
	switch {
	case errors.Is(err, feed.ErrFeedReplaced):
		return "start again: a relay makes a new feed, and its positions are others"
	case errors.Is(err, feed.ErrOtherHistory):
		return "the feed was dropped, or the store was restored: find out which, and begin again at the start"
	case errors.Is(err, feed.ErrNoFeed):
		return "a relay makes it: ropewalk relay"
	case denied(err):
		return "check the modes of the file and of its folder, and whether the disk can be written to"
	case errors.Is(err, ropewalk.ErrHeadLost):
		return "the storage was restored or tampered with: see \"Restored heads\" in DESIGN.md"
	default:
		return ""
	}
}

// fileHint returns what to do about the failure of a SQLite file.
func fileHint(err error) string {
	corrupt, isCorrupt := errors.AsType[*ropewalk.CorruptError](err)
	switch {
	case errors.Is(err, sqlitestore.ErrBusy):
		return "another program holds the lock of the file: find out which, or try again later"
	case errors.Is(err, sqlitestore.ErrReplaced):
		return "find out what replaced the file; programs must be stopped before a store is restored"
	case errors.Is(err, syscall.ENOSPC):
		return "free space on the disk; nothing was committed"
	case errors.Is(err, sqlitestore.ErrForeignWAL):
		return "stop every program that uses the store, and remove the two files; ropewalk restore would have moved them"
	case isCorrupt && corrupt.Ref.AggregateID == "" && strings.HasPrefix(corrupt.Object, "sqlite:"):
		return "keep a copy of the file with its -wal and -shm files; ropewalk restore puts a backup in its place"
	default:
		return ""
	}
}

// SilentHint returns what to do about a storage that gives no answer, by the URL
// of the store; nothing about any other error.
func SilentHint(err error, storeURL string) string {
	scheme, _, _ := strings.Cut(storeURL, ":")
	switch {
	case !silent(err):
		return ""
	case scheme == "file":
		return "the file does not answer: another process may hold its lock, or its disk may hang"
	case scheme == "azure":
		return "the storage does not answer: check the account, the endpoint and the network"
	default:
		return "the storage does not answer: check the endpoint, the region and the network"
	}
}
