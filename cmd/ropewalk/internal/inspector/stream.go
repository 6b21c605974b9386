package inspector

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// maxWrite is the time that a write of a stream may take. A browser that does not read
// for longer is gone.
const maxWrite = 10 * time.Second

// event is a change as the script takes it. The texts have their hidden characters
// escaped.
type event struct {
	Href     string `json:"href"`
	Ref      string `json:"ref"`
	Recorded string `json:"recorded"`
	Size     string `json:"size"`
	Type     string `json:"type"`
}

// changes streams changes as server-sent events until the browser or the command ends.
// The position of each is its ID, so that a browser that reconnects misses nothing.
func (s *Site) changes(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w: http.NewResponseController(w), to: w}
	if r.Method == http.MethodHead || out.send(": follows\n\n") != nil {
		return
	}
	var alive sync.WaitGroup
	defer alive.Wait()
	defer cancel()
	alive.Go(func() { out.keepAlive(ctx, cancel, s.options.Quiet) })
	for c, err := range s.source.Follow(ctx, r.URL.Query().Get("id"), r.Header.Get("Last-Event-ID")) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			_ = out.failed(s.source.Explain(ctx, err))
			<-ctx.Done() // the browser closes it: a stream that ended would be opened again at once
			return
		}
		if out.change(c) != nil {
			return
		}
	}
}

// stream writes server-sent events. It is safe for concurrent use.
type stream struct {
	mu sync.Mutex
	w  *http.ResponseController
	to http.ResponseWriter
}

func (s *stream) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.w.SetWriteDeadline(time.Now().Add(maxWrite)) // a recorder in a test has no deadlines
	if _, err := fmt.Fprint(s.to, text); err != nil {
		return err
	}
	return s.w.Flush()
}

func (s *stream) keepAlive(ctx context.Context, cancel func(), quiet time.Duration) {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.send(": alive\n\n") != nil {
				cancel()
				return
			}
		}
	}
}

func (s *stream) change(c Change) error {
	to := link("/changeset", "ref", c.Ref)
	if c.Erased {
		to = link("/chain", "id", c.Aggregate)
	}
	e := event{string(to.URL()), Text(c.Ref).String(), c.Recorded, c.Size, Text(c.Type).String()}
	return s.event("change", c.Position, e)
}

func (s *stream) failed(f Failure) error {
	message := f.Message.String()
	if f.Hint != "" {
		message += ": " + f.Hint.String()
	}
	return s.event("failed", "", message)
}

func (s *stream) event(name, id string, data any) error {
	text, err := ui.Marshal(data)
	if err != nil {
		return err
	}
	lines := []string{"event: " + name, "data: " + string(text)}
	if id != "" {
		lines = append(lines, "id: "+id)
	}
	return s.send(strings.Join(lines, "\n") + "\n\n")
}
