//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/internal/chaintest"
)

// mishap is what becomes of a request and of its reply.
type mishap struct {
	name string
	// arrives says that the service acts, and that its reply is lost. Otherwise
	// the request is sent, and never arrives; or it is not even sent.
	arrives, unsent bool
	// told returns what the client gets instead of a reply.
	told func(*http.Request) (*http.Response, error)
	// hangs says that the client gets no answer before its context ends.
	hangs bool
}

func mishaps() []mishap {
	all := []mishap{
		{name: "hangs, has arrived", arrives: true, told: awsHanging, hangs: true},
		{name: "hangs, never arrives", told: awsHanging, hangs: true},
		{name: "no connection", unsent: true, told: func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}},
	}
	for name, told := range awsLosses {
		all = append(all, mishap{name: name + ", has arrived", arrives: true, told: told}, mishap{name: name + ", never arrives", told: told})
	}
	return all
}

// rough is a way to a service on which the requests from first to last, counted
// from 1, meet with a mishap.
type rough struct {
	http.RoundTripper
	mishap
	first, last int
	strike      func() // runs at the first mishap, at the moment of the request's arrival

	mu   sync.Mutex
	sent []string
}

func (w *rough) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = append(w.sent, awsOperation(r))
	n, first, last := len(w.sent), w.first, w.last
	w.mu.Unlock()
	if n < first || n > last {
		return w.RoundTripper.RoundTrip(r)
	}
	if err := w.pass(r); err != nil {
		return nil, err
	}
	if n == first && w.strike != nil {
		w.strike()
	}
	return w.told(r)
}

// pass lets the request go as far as it does.
func (w *rough) pass(r *http.Request) error {
	if w.arrives {
		reply, err := w.RoundTripper.RoundTrip(r)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, reply.Body)
		return reply.Body.Close()
	}
	if r.Body == nil {
		return nil
	}
	if !w.unsent {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return r.Body.Close()
}

// take returns the requests since it was last called.
func (w *rough) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// smooth ends all mishaps.
func (w *rough) smooth() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first, w.last = 0, 0
}

// passage is an append, and where something befalls it on its way.
type passage struct {
	chaintest.Situation
	mishap mishap
	at     int  // the number of the request
	on     bool // and of all that follow
}

func (p passage) String() string {
	until := ""
	if p.on {
		until = " and on"
	}
	return fmt.Sprintf("%+v, request %d%s: %s", p.Situation, p.at, until, p.mishap.name)
}

// passages returns every mishap at every request of every kind of append. Those
// that go on and on, and those with a rival, take turns.
func passages() (all []passage) {
	for _, existing := range []int{0, 2} {
		for _, size := range []int{1, 3} {
			for i, m := range mishaps() {
				for at := range size + 1 {
					s := chaintest.Situation{Existing: existing, Size: size, Timeout: m.hangs}
					all = append(all, passage{s, m, at + 1, false})
					switch (i + at) % 4 {
					case 0:
						s.Rival = true
						all = append(all, passage{s, m, at + 1, false})
					case 1:
						all = append(all, passage{s, m, at + 1, true})
					}
				}
			}
		}
	}
	return all
}

// TestChainLostReplies: at any request of an append, the outcome reported to
// the caller matches the chain.
func TestChainLostReplies(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		place := c.open(t)
		calm := storage(t, place, c.over(direct))
		atOnce(t, passages(), passage.String, func(t *testing.T, p passage) {
			way := &rough{RoundTripper: c.over(direct), mishap: p.mishap, first: p.at, last: p.at}
			behind := another(calm)
			behind.Changesets, behind.Heads = place.stores(t, way)
			survive(t, calm, behind, way, p)
		})
	})
}

func survive(t *testing.T, calm, behind chaintest.Storage, way *rough, p passage) {
	calm.AggregateID = behind.AggregateID
	w := chaintest.NewWorld(t, calm, p.Situation)
	if p.on {
		way.last = 1 << 30
	} else {
		behind.Unit = time.Minute // the outcome can be known, however slow the service is
	}
	w.Chain = behind.Faulty(&w.Script, true)
	if p.Rival {
		way.strike = w.AppendRival
	}
	ctx := t.Context()
	if p.Timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		strike := way.strike
		way.strike = func() { // the caller gives up some time after the request that hangs, however slow the others were
			if strike != nil {
				strike()
			}
			time.AfterFunc(2*unit, cancel)
		}
	}

	got, err := w.Chain.Append(ctx, w.Before, w.Drafts...)

	require.GreaterOrEqual(t, len(way.sent), p.at)
	way.smooth()
	w.RequireTrue(got, err)
	put := p.at <= p.Size
	if !p.Rival && !p.on && !(put && p.mishap.hangs) {
		require.NoError(t, err, "one mishap is survived; requests: %v", way.sent)
	}
	var uncertain *ropewalk.UncertainError
	if errors.As(err, &uncertain) {
		require.Equal(t, w.RequireSettled(uncertain), w.RequireSettled(uncertain))
	}
	require.Equal(t, p.on && !put && !p.mishap.unsent, uncertain != nil, "only a swap whose outcome cannot be looked up is uncertain, but: %v", err)
}
