package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/publish/webhook"
)

// Each answer is what Standard Webhooks and HTTP say it is.
func TestEveryAnswer(t *testing.T) {
	retried := map[int]bool{408: true, 425: true, 429: true}
	for status := 200; status < 700; status++ {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{answer: func(n int, _ request) *http.Response {
				if n == 0 {
					return reply(status, "Location", "https://elsewhere.example/")
				}
				return reply(200)
			}}
			err := sender(t, m, webhook.Options{}).Send(t.Context(), placed())
			switch {
			case status/100 == 2:
				require.NoError(t, err, status)
				require.Len(t, m.all(), 1, status)
			case retried[status] || status/100 == 5:
				require.NoError(t, err, status)
				require.Len(t, m.all(), 2, status)
			default:
				require.Len(t, m.all(), 1, status)
				failure, ok := errors.AsType[*webhook.DeliveryError](err)
				require.True(t, ok, status)
				require.Equal(t, status, failure.Status)
				require.Equal(t, 1, failure.Attempts)
				require.Equal(t, fmt.Sprint("body of ", status), string(failure.Body))
				require.ErrorContains(t, err, fmt.Sprint("the receiver answered ", status))
				require.ErrorContains(t, err, "event 0199-0 was not delivered to receiver.example")
				require.NotContains(t, err.Error(), "body of")
				require.Equal(t, status == 410, errors.Is(err, webhook.ErrGone), status)
				require.Equal(t, status/100 == 3, errors.Is(err, webhook.ErrRedirected), status)
			}
		})
	}
}

// A failed attempt is followed by others, with growing pauses, until RetryFor is over.
// Each attempt is the same event, signed with its own time.
func TestPausesGrowUntilRetriesAreExhausted(t *testing.T) {
	for name, m := range map[string]*memory{
		"an error":  always(503),
		"no answer": {answer: func(int, request) *http.Response { return nil }},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := sender(t, m, webhook.Options{}).Send(t.Context(), placed())
			failure, ok := errors.AsType[*webhook.DeliveryError](err)
			require.True(t, ok, name)
			all := m.all()
			require.Len(t, all, failure.Attempts, name)
			require.Greater(t, len(all), 15, name)
			require.Less(t, len(all), 50, name)
			require.WithinRange(t, time.Now(), start.Add(10*time.Minute), start.Add(10*time.Minute+90*time.Second))
			require.Less(t, all[1].at.Sub(start), time.Second)
			require.Greater(t, all[len(all)-1].at.Sub(all[len(all)-2].at), 30*time.Second)
			if name == "no answer" {
				require.Zero(t, failure.Status)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
			v := webhook.Verifier{Secrets: []webhook.Secret{secret}}
			for i, r := range all {
				require.Equal(t, all[0].body, r.body)
				require.Equal(t, fmt.Sprint(r.at.Unix()), r.header.Get(webhook.HeaderTimestamp))
				v.Now = func() time.Time { return r.at }
				id, err := v.Verify(r.header, r.body)
				require.NoError(t, err, i)
				require.Equal(t, "0199-0", id)
			}
		})
	}
}

func TestRetriesCanBeTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, start := always(503, "Retry-After", "60"), time.Now()
		s := sender(t, m, webhook.Options{RetryFor: -1})
		for n := range 2 {
			require.ErrorContains(t, s.Send(t.Context(), placed()), "503 Service Unavailable")
			require.Len(t, m.all(), n+1)
		}
		require.Equal(t, start, time.Now())
	})
}

func TestPausesHaveJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			m := always(500)
			require.Error(t, sender(t, m, webhook.Options{RetryFor: time.Second}).Send(t.Context(), placed()))
			seen[m.all()[1].at.Sub(m.all()[0].at)] = true
		})
	}
	require.Greater(t, len(seen), 1)
}

// A receiver that asks for a pause gets no request before, for any event.
func TestRetryAfterHoldsAllEventsBack(t *testing.T) {
	for _, status := range []int{429, 503} {
		for name, header := range map[string]func(time.Time) string{
			"seconds": func(time.Time) string { return "120" },
			"date":    func(now time.Time) string { return now.Add(120 * time.Second).UTC().Format(http.TimeFormat) },
		} {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				m := &memory{answer: func(n int, r request) *http.Response {
					if n == 0 {
						return reply(status, "Retry-After", header(r.at))
					}
					return reply(200)
				}}
				s := sender(t, m, webhook.Options{})
				var sends sync.WaitGroup
				for i := range 3 {
					sends.Go(func() {
						time.Sleep(time.Duration(i) * 10 * time.Second)
						require.NoError(t, s.Send(t.Context(), placed()))
					})
				}
				sends.Wait()
				require.Len(t, m.all(), 4, name)
				for _, r := range m.all()[1:] {
					require.GreaterOrEqual(t, r.at.Sub(start), 119*time.Second, name)
				}
				require.Less(t, time.Since(start), 3*time.Minute, name)
			})
		}
	}
}

// An answer without Retry-After, to an earlier request, does not end the pause.
func TestRetryAfterIsNotShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := &memory{answer: func(n int, _ request) *http.Response {
			switch n {
			case 0:
				time.Sleep(time.Second)
				return reply(500)
			case 1:
				return reply(429, "Retry-After", "120")
			}
			return reply(200)
		}}
		s := sender(t, m, webhook.Options{})
		var sends sync.WaitGroup
		for range 2 {
			sends.Go(func() { require.NoError(t, s.Send(t.Context(), placed())) })
		}
		sends.Wait()
		require.Len(t, m.all(), 4)
		require.Equal(t, 120*time.Second, m.all()[2].at.Sub(start))
	})
}

// An absurd pause is cut off: a receiver cannot stop a subscription for ever.
func TestRetryAfterIsBounded(t *testing.T) {
	for _, header := range []string{"99999999", "18446744073709551616", "9223372036854775807", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			m, start := always(503, "Retry-After", header), time.Now()
			s := sender(t, m, webhook.Options{RetryFor: time.Hour})
			require.ErrorContains(t, s.Send(t.Context(), placed()), "attempts: 2", header)
			require.WithinRange(t, time.Now(), start.Add(time.Hour), start.Add(time.Hour+time.Minute))
		})
	}
}

func TestRetryAfterIsParsed(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"7":                                7 * time.Second,
		" 7 ":                              7 * time.Second,
		"-7":                               0,
		"7.5":                              0,
		"soon":                             0,
		"Sat, 28 Nov 2026 10:01:00 GMT":    time.Minute,
		"Saturday, 28-Nov-26 10:01:00 GMT": time.Minute,
		"Sat Nov 28 10:01:00 2026":         time.Minute,
		"Sat, 28 Nov 2026 09:59:00 GMT":    0,
		"Mon, 01 Jan 0001 00:00:00 GMT":    0,
	} {
		require.Equal(t, want, webhook.RetryAfter(header, now), header)
	}
	require.Greater(t, webhook.RetryAfter("99999999999999999999", now), 200*365*24*time.Hour)
}

// When the context ends, Send ends at once: in an attempt, in a pause, and in a pause
// that the receiver asked for.
func TestSendEndsWithItsContext(t *testing.T) {
	for name, answer := range map[string]func(int, request) *http.Response{
		"in a pause":      func(int, request) *http.Response { return reply(500) },
		"in a long pause": func(int, request) *http.Response { return reply(503, "Retry-After", "600") },
	} {
		synctest.Test(t, func(t *testing.T) {
			m, start := &memory{answer: answer}, time.Now()
			s := sender(t, m, webhook.Options{RetryFor: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := s.Send(ctx, placed())
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorContains(t, err, "the receiver answered 50", name)
			require.Equal(t, 5*time.Second, time.Since(start), name)

			sent := len(m.all())
			err = s.Send(ctx, placed())
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorContains(t, err, "attempts: 0", name)
			require.Len(t, m.all(), sent, "no request without a context")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		errStop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		m := &memory{answer: func(int, request) *http.Response {
			cancel(errStop)
			return nil
		}}
		err := sender(t, m, webhook.Options{}).Send(ctx, placed())
		require.ErrorIs(t, err, context.Canceled, "in an attempt")
		require.Len(t, m.all(), 1)
	})
}

// Logs and errors name the event and the host, and no content, secret, or part of the
// URL that may be a token.
func TestLogsHaveNoContentAndNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		m := &memory{answer: func(n int, r request) *http.Response {
			if n%2 == 0 {
				return nil
			}
			response := reply(500, "Location", "private data")
			response.Body = io.NopCloser(bytes.NewReader(r.body))
			return response
		}}
		s := sender(t, m, webhook.Options{Logger: logTo(&logs), RetryFor: time.Minute, Header: http.Header{"authorization": {"Bearer hidden"}}})
		err := s.Handle(t.Context(), change(`{"type":"placed","data":"private data"}`))
		require.Error(t, err)
		require.Contains(t, logs.String(), "0199a0b2-0000-7000-8000-000000000001-0 was not delivered to receiver.example")
		for _, text := range []string{logs.String(), err.Error()} {
			for _, hidden := range []string{"private", "hidden", "password", "token", "hooks", secret.Reveal()[6:], "v1,"} {
				require.NotContains(t, text, hidden)
			}
		}
		require.Equal(t, "Bearer hidden", m.all()[0].header.Get("Authorization"))
	})
}

func TestHeadersOfTheCaller(t *testing.T) {
	m := always(200)
	header := http.Header{"x-tenant": {"7"}, "webhook-id": {"forged"}, "content-type": {"text/plain"}}
	s := sender(t, m, webhook.Options{Header: header})
	header.Set("x-tenant", "8")
	require.NoError(t, s.Send(t.Context(), placed()))
	got := m.all()[0].header
	require.Equal(t, []string{"7"}, got["X-Tenant"])
	require.Equal(t, []string{"0199-0"}, got[webhook.HeaderID])
	require.Equal(t, []string{"application/cloudevents+json; charset=utf-8"}, got["Content-Type"])
	user, password, ok := (&http.Request{Header: got}).BasicAuth()
	require.True(t, ok)
	require.Equal(t, "user:password", user+":"+password)
}

// The events of a changeset are sent one after another. An event is sent only after
// the receiver has accepted the one before.
func TestEventsOfAChangesetKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		for i := range 5 {
			lines = append(lines, fmt.Sprintf(`{"type":"e%d","data":%d}`, i, i))
		}
		m := &memory{answer: func(n int, _ request) *http.Response {
			if n%2 == 0 {
				return reply(500)
			}
			return reply(200)
		}}
		require.NoError(t, sender(t, m, webhook.Options{}).Handle(t.Context(), change(lines...)))
		var types []string
		for _, r := range m.all() {
			types = append(types, r.event(t).Type())
		}
		require.Equal(t, "e0 e0 e1 e1 e2 e2 e3 e3 e4 e4", strings.Join(types, " "))

		m = &memory{answer: func(n int, _ request) *http.Response { return reply(200 + 200*(n/2)) }}
		require.ErrorContains(t, sender(t, m, webhook.Options{}).Handle(t.Context(), change(lines...)), "-2 was not delivered")
		require.Len(t, m.all(), 3, "nothing after the event that failed")
	})
}
