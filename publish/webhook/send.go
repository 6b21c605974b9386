package webhook

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"ropewalk/internal/pause"
)

// firstPause is the pause after the first failed attempt, before jitter.
const firstPause = 500 * time.Millisecond

// Send sends an event until the receiver accepts it. [Sender.Handle] calls it; a
// program calls it for events that it makes itself. Their IDs must be printable ASCII
// without space and dot.
//
//	answer                        what Send does
//	2xx                           returns nil; the body does not matter
//	408, 425, 429, 5xx            tries again, with growing pauses that have jitter
//	no valid answer, or too late  tries again
//	410                           returns an error that matches ErrGone
//	3xx                           returns an error that matches ErrRedirected
//	any other                     returns an error
//	the address is not public     returns an error that matches ErrAddress
//
// A failed attempt is final once [Options.RetryFor] has passed since the first
// attempt. If an answer has the header Retry-After, in seconds or as a date, no
// request of this sender is sent until then, for RetryFor at most. Each attempt is
// signed with its own time.
//
// The errors after a request are a [*DeliveryError]. When the context ends, Send
// returns at once, and the error matches the context's error.
func (s *Sender) Send(ctx context.Context, e event.Event) error {
	body, err := encode(e)
	if err != nil {
		return err
	}
	if err := s.hold.wait(ctx); err != nil {
		return s.failure(e.ID(), 0, answer{err: err})
	}
	pauses := pause.New(pause.First(firstPause), pause.Max(s.options.MaxPause))
	final := time.Now().Add(s.options.RetryFor)
	for attempts := 1; ; attempts++ {
		a := s.attempt(ctx, e.ID(), body)
		if a.delivered() {
			return nil
		}
		s.hold.until(time.Now().Add(min(a.wait, s.options.RetryFor)))
		if ctx.Err() != nil {
			a.err = ctx.Err()
		}
		failure := s.failure(e.ID(), attempts, a)
		if ctx.Err() != nil || !a.mayPass() || !time.Now().Before(final) {
			return failure
		}
		s.options.Logger.WarnContext(ctx, "event was not delivered, trying again", "cause", failure)
		if err := s.pause(ctx, pauses); err != nil {
			a.err = err
			return s.failure(e.ID(), attempts, a)
		}
	}
}

func (s *Sender) failure(id string, attempts int, a answer) *DeliveryError {
	return &DeliveryError{id, s.url.Host, attempts, a.status, a.body, a.err}
}

// pause waits for the next attempt, or returns the context's error.
func (s *Sender) pause(ctx context.Context, pauses *pause.Pauses) error {
	if err := pauses.Wait(ctx); err != nil {
		return err
	}
	return s.hold.wait(ctx)
}

// attempt makes one request.
func (s *Sender) attempt(ctx context.Context, id string, body []byte) answer {
	ctx, stop := context.WithTimeout(ctx, s.options.Timeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return failed(err)
	}
	maps.Copy(request.Header, s.options.Header)
	now := time.Now().Unix()
	request.Header.Set("User-Agent", "ropewalk")
	request.Header.Set("Content-Type", event.ApplicationCloudEventsJSON+"; charset=utf-8")
	request.Header.Set(HeaderID, id)
	request.Header.Set(HeaderTimestamp, strconv.FormatInt(now, 10))
	request.Header.Set(HeaderSignature, s.signatures(id, now, body))
	response, err := s.client.Do(request)
	if err != nil {
		return failed(err)
	}
	defer response.Body.Close()
	return read(response, stop)
}

// hold keeps a sender from sending while the receiver asks it to wait.
type hold struct {
	mu   sync.Mutex
	ends time.Time
}

// until keeps the sender from sending until a time.
func (h *hold) until(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.After(h.ends) {
		h.ends = t
	}
}

// wait returns when the sender may send, or the context's error.
func (h *hold) wait(ctx context.Context) error {
	h.mu.Lock()
	timer := time.NewTimer(time.Until(h.ends))
	h.mu.Unlock()
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
