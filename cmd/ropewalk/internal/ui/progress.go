package ui

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	// progressAfter is the time before a command shows its progress.
	progressAfter = time.Second
	// progressEvery is the shortest time between two updates.
	progressEvery = 100 * time.Millisecond
)

// Progress shows on stderr how far a command has come: a bar with count, rate and
// time left, or count and rate alone if the total is unknown. It is shown only on
// a terminal, after a second, and never with --json. One goroutine at a time may
// use it. It must be ended before anything else is written to stderr, except by
// [Streams.AboveProgress]. The zero progress shows nothing.
type Progress struct{ bar counter }

// counter is the part of a progress that is shown.
type counter interface {
	Add64(n int64) error
	Exit() error
	Clear() error
}

// NewProgress returns a progress that counts to total, or without a total if it
// is -1. It counts bytes, or things with a name such as "aggregates".
func (s *Streams) NewProgress(total int64, bytes bool, what string) *Progress {
	if s.JSON || !s.IsTerminal(s.Err) {
		return &Progress{}
	}
	out := &late{Raw(s.Err), time.Now().Add(progressAfter)}
	if total < 0 && !bytes {
		return &Progress{&tally{out: out, what: what, began: time.Now()}}
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
	return &Progress{progressbar.NewOptions64(total, options...)}
}

// Add counts n more.
func (p *Progress) Add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a terminal that is gone is no failure
	}
}

// Note shows a short text after the count, if the total is unknown.
func (p *Progress) Note(text string) {
	if t, ok := p.bar.(*tally); ok {
		t.note = ", " + text
		p.Add(0)
	}
}

// End removes the bar.
func (p *Progress) End() {
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
	what, note   string
	count        int64
	began, shown time.Time
}

// clearLine clears the line of the cursor.
const clearLine = "\x1b[2K\r"

// Add64 counts n more, and shows the count if the last update was long enough ago.
func (t *tally) Add64(n int64) error {
	t.count += n
	now := time.Now()
	if now.Sub(t.shown) < progressEvery {
		return nil
	}
	t.shown = now
	rate := float64(t.count) / max(now.Sub(t.began).Seconds(), progressEvery.Seconds())
	_, err := fmt.Fprintf(t.out, "%s%s %s, %s/s%s", clearLine, Thousands(t.count), t.what, Thousands(int64(rate)), t.note)
	return err
}

// Exit does nothing: a tally has no end.
func (t *tally) Exit() error { return nil }

// Clear clears the line.
func (t *tally) Clear() error {
	_, err := io.WriteString(t.out, clearLine)
	return err
}

// AboveProgress returns stderr for lines that are written while a progress is shown.
// They take its place, and the progress comes back with its next update.
func (s *Streams) AboveProgress() io.Writer { return aboveProgress{s} }

type aboveProgress struct{ *Streams }

func (a aboveProgress) Write(p []byte) (int, error) {
	if a.IsTerminal(a.Err) && !a.JSON {
		_, _ = io.WriteString(Raw(a.Err), clearLine) // a terminal that is gone is no failure
	}
	return a.Err.Write(p)
}

// late drops everything that is written before a time.
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
