package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"ropewalk/cmd/ropewalk/internal/ui"
)

const (
	// progressAfter is how long a command works before it shows its progress.
	progressAfter = time.Second
	// progressEvery is the shortest time between two changes of it.
	progressEvery = 100 * time.Millisecond
)

// progress shows on stderr how far a command is: a bar with count, rate and
// time left, or where the end is unknown, count and rate alone. It is shown
// only on a terminal, after a second, and never with --json. One goroutine at a
// time may use it. It must be ended before anything else is written to stderr.
// The zero progress shows nothing.
type progress struct{ bar counter }

// counter is what a progress shows.
type counter interface {
	Add64(n int64) error
	Exit() error
	Clear() error
}

// newProgress counts up to total, or with -1 to an unknown end. The bar counts
// bytes if that is what is counted, and otherwise names it, such as "aggregates".
func (a *app) newProgress(total int64, bytes bool, what string) *progress {
	if a.json || !a.terminal(a.stderr) {
		return &progress{}
	}
	out := &late{raw(a.stderr), time.Now().Add(progressAfter)}
	if total < 0 && !bytes {
		return &progress{&tally{out: out, what: what, began: time.Now()}}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(total >= 0), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(progressEvery), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // which would leave a goroutine running
	}
	if bytes {
		options = append(options, progressbar.OptionShowBytes(true))
	} else {
		options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(what))
	}
	return &progress{progressbar.NewOptions64(total, options...)}
}

// add counts n more.
func (p *progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a terminal that is gone is no failure
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// tally counts things whose total is unknown: 55,056 changesets,
// 3,871/s.
type tally struct {
	out          io.Writer
	what         string
	count        int64
	began, shown time.Time
}

// clearLine takes away what the line of the cursor shows.
const clearLine = "\x1b[2K\r"

// Add64 counts n more, and shows it if the last time was long enough ago.
func (t *tally) Add64(n int64) error {
	t.count += n
	now := time.Now()
	if now.Sub(t.shown) < progressEvery {
		return nil
	}
	t.shown = now
	rate := float64(t.count) / max(now.Sub(t.began).Seconds(), progressEvery.Seconds())
	_, err := fmt.Fprintf(t.out, "%s%s %s, %s/s", clearLine, ui.Thousands(t.count), t.what, ui.Thousands(int64(rate)))
	return err
}

// Exit does nothing: a tally has no end.
func (t *tally) Exit() error { return nil }

// Clear takes the line away.
func (t *tally) Clear() error {
	_, err := io.WriteString(t.out, clearLine)
	return err
}

// late drops what is written before a time.
type late struct {
	w     io.Writer
	after time.Time
}

func (l *late) Write(p []byte) (int, error) {
	if time.Now().Before(l.after) {
		return len(p), nil
	}
	return l.w.Write(p)
}
