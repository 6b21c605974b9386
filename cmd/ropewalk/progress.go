package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressAfter is how long a command works before it shows a bar.
const progressAfter = time.Second

// progress is a bar on stderr with count, rate and time left. It is there only
// on a terminal, after a second, and never with --json. One goroutine at a time
// may use it. It must be ended before anything else is written to stderr.
type progress struct {
	start time.Time
	done  int64
	bar   *progressbar.ProgressBar
	show  func() *progressbar.ProgressBar // nil where there is never a bar
}

// newProgress counts up to total, or with -1 to an unknown end. The bar counts
// bytes if that is what is counted, and otherwise names it, such as "aggregates".
func (a *app) newProgress(total int64, bytes bool, what string) *progress {
	p := &progress{start: time.Now()}
	if a.json || !a.terminal(a.stderr) {
		return p
	}
	p.show = func() *progressbar.ProgressBar {
		options := []progressbar.Option{
			progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(30), progressbar.OptionUseANSICodes(true),
		}
		if bytes {
			options = append(options, progressbar.OptionShowBytes(true))
		} else {
			options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(what))
		}
		return progressbar.NewOptions64(total, options...)
	}
	return p
}

// add counts n more.
func (p *progress) add(n int64) {
	p.done += n
	if p.bar == nil && p.show != nil && time.Since(p.start) >= progressAfter {
		p.bar = p.show()
	}
	if p.bar != nil {
		_ = p.bar.Set64(p.done) // a terminal that is gone is no failure
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
	}
	p.show = nil
}
