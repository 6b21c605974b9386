package ropewalk

import (
	"log/slog"
	"time"
)

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// Logger receives what a maintainer wants to know when things go wrong,
	// never content. By default nothing is logged.
	Logger *slog.Logger
	// MaxContentSize is the largest content of one changeset in bytes, to append
	// and to read, before compression; 64 MiB by default.
	MaxContentSize int64
	// WindowCount is how many changesets a read may fetch ahead, in parallel. By
	// default that adapts, between 64 and 1,024: to the latency of the storage,
	// so that the loop which consumes them need not wait, and to the size of the
	// contents, so that they take half of WindowBytes.
	WindowCount int
	// WindowBytes is how many bytes a read may hold ahead of the loop that
	// consumes it, as they are stored; 64 MiB by default. One larger changeset
	// still passes. Content is decompressed when the loop comes to it.
	WindowBytes int64
	// SettleTimeout is how long an append waits for the answer to its swap,
	// including retries of a swap that was refused for now. It is also how long
	// the append then goes on to learn the outcome of a swap whose answer was
	// lost, even if its context has ended. [Chain.Settle] takes as long at most.
	// 10 seconds by default; a program whose callers wait for less sets less.
	SettleTimeout time.Duration
	// Compress lets appends store content compressed by zstd if that makes it
	// smaller; off by default. Readers always get what was appended, whatever
	// Compress says. Other tools that read the bucket then find zstd frames.
	Compress bool
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.MaxContentSize <= 0 {
		out.MaxContentSize = 64 << 20
	}
	out.WindowCount = max(out.WindowCount, 0)
	if out.WindowBytes <= 0 {
		out.WindowBytes = 64 << 20
	}
	if out.SettleTimeout <= 0 {
		out.SettleTimeout = 10 * time.Second
	}
	return out
}
