package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressAfter is how long a command works before it shows a bar.
const progressAfter = time.Second

// progress is a bar on stderr with count, rate and time left. It is there only
// on a terminal, after a second, and never with --json. One goroutine at a time
// may use it. It must be ended before anything else is written to stderr. The
// zero progress never shows a bar.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress counts up to total, or with -1 to an unknown end. The bar counts
// bytes if that is what is counted, and otherwise names it, such as "aggregates".
func (a *app) newProgress(total int64, bytes bool, what string) *progress {
	if a.json || !a.terminal(a.stderr) {
		return &progress{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(&late{raw(a.stderr), time.Now().Add(progressAfter)}), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(total >= 0), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // which would leave a goroutine behind
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
