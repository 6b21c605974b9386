// Package webhook sends the changes of a store to an HTTP receiver.
//
//	sender, err := webhook.New("https://example.com/hooks", []webhook.Secret{secret}, nil)
//	…
//	err = f.Subscription("partner", &feed.SubscriptionOptions{Park: true}).Run(ctx, sender.Handle)
//
// Each event of a changeset is one POST. Its body is a CloudEvent 1.0 in the
// structured JSON format; a changeset whose content is not in the form of package
// aggregate is one CloudEvent, and so is an erasure. The request is signed as
// Standard Webhooks 1.0 lays down, by HMAC-SHA256 over ID, time and body, so that a
// receiver in any language verifies it with a library; a receiver in Go has
// [Verifier].
//
// Delivery is at least once. The events of one aggregate arrive in their order, as
// long as the receiver answers a request only after it has handled the event. An event
// has the same ID and the same body however often it arrives, unless the feed was
// replaced in the meantime, which changes the position in it. Retries, and what each
// answer of a receiver means, are described at [Sender.Send].
//
// A receiver is not trusted. Its address must be public, see [NewTransport]. Its
// redirects are not followed, its answers are bounded in size and time, and neither
// errors nor logs repeat them.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"ropewalk/feed"
)

// Options are the settings of a [Sender]. Zero values stand for the defaults.
type Options struct {
	// Source is the source of all events, a URI reference such as
	// "https://example.com/orders"; "/ropewalk" by default. An ID is unique within
	// its source.
	Source string
	// TypePrefix is put before the name of an event, and makes the type of its
	// CloudEvent: "com.example." makes "com.example.order-placed". By default the type
	// is the name alone.
	TypePrefix string
	// Header has more headers for each request, such as Authorization. Headers that
	// the sender sets itself are replaced.
	Header http.Header

	// Timeout bounds one attempt, from the look-up of the name to the end of the
	// answer; 15 seconds by default.
	Timeout time.Duration
	// RetryFor is how long after the first attempt at an event a failed attempt is
	// followed by another attempt; 10 minutes by default. Below zero, one attempt is
	// made. It is also the longest pause that a receiver may ask for.
	RetryFor time.Duration
	// MaxPause is the longest pause between two attempts, before jitter makes it up to
	// half as long again; 1 minute by default. The first pause is half a second.
	MaxPause time.Duration

	// AllowHTTP allows a URL without TLS, where anybody on the way can read the events.
	AllowHTTP bool
	// Allow are networks whose addresses may be connected to although they are not
	// public. See [NewTransport].
	Allow []netip.Prefix
	// Transport, if not nil, makes the requests. It then decides alone which addresses
	// are connected to, and Allow is not used. Make it from [NewTransport] to keep the
	// check of addresses.
	Transport http.RoundTripper

	// Logger receives failed attempts, and never content, secrets or the path of the
	// URL. By default nothing is logged.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Source = cmp.Or(out.Source, "/ropewalk")
	out.Timeout = cmp.Or(max(out.Timeout, 0), 15*time.Second)
	out.RetryFor = cmp.Or(out.RetryFor, 10*time.Minute)
	out.MaxPause = cmp.Or(max(out.MaxPause, 0), time.Minute)
	out.Header = canonical(out.Header)
	if out.Transport == nil {
		out.Transport = NewTransport(out.Allow...)
	}
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// canonical returns a copy of the headers, with their names in the form in which the
// sender replaces them.
func canonical(header http.Header) http.Header {
	out := http.Header{}
	for name, values := range header {
		for _, value := range values {
			out.Add(name, value)
		}
	}
	return out
}

// Sender sends events to one receiver. It is safe for concurrent use, and needs no
// closing.
type Sender struct {
	url     *url.URL
	secrets []Secret
	options Options
	client  *http.Client
	hold    hold
}

// New returns the sender for a URL, which must be of HTTPS unless
// [Options.AllowHTTP] is set. It does no I/O. A user and a password in the URL become
// an Authorization header.
//
// Each request has a signature for each of the secrets, at least one. To rotate a
// secret, send with the new and the old secret until the receiver verifies with the
// new secret. Nil options stand for the defaults.
func New(receiver string, secrets []Secret, options *Options) (*Sender, error) {
	o := options.withDefaults()
	u, err := parseURL(receiver, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	if len(secrets) == 0 || slices.Contains(secrets, Secret{}) {
		return nil, errors.New("a webhook needs a secret: see ParseSecret and NewSecret")
	}
	if _, err := url.Parse(o.Source); err != nil {
		return nil, fmt.Errorf("the source of webhooks is not a URI reference: %w", err)
	}
	for name, values := range o.Header {
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			return nil, fmt.Errorf("the header %s of webhooks has a line break", name)
		}
	}
	client := &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Sender{url: u, secrets: slices.Clone(secrets), options: o, client: client}, nil
}

// parseURL parses the URL of a receiver. Its errors do not repeat the URL, which may
// have a password or a token.
func parseURL(receiver string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(receiver)
	switch {
	case err != nil:
		return nil, errors.New("the URL of a webhook cannot be parsed")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the URL of a webhook has the scheme %q, not https", u.Scheme)
	case u.Scheme == "http" && !allowHTTP:
		return nil, errors.New("the URL of a webhook is not of https: plain http must be allowed")
	case u.Hostname() == "":
		return nil, errors.New("the URL of a webhook has no host")
	}
	return u, nil
}

// Handle sends the events of a change, one after another, and stops at the first
// error. It is a [feed.Handler]. It sends nothing for a changeset of events that has
// none.
//
// Its error is an error of [Sender.Send], or says which event cannot be sent. When
// the change is handed over again, all of its events are sent again. Since Send tries
// again on its own, [feed.SubscriptionOptions.Retries] should stay 0: it would repeat
// requests that the receiver has rejected for good. With
// [feed.SubscriptionOptions.Park] an error parks the aggregate, and the other
// aggregates go on.
func (s *Sender) Handle(ctx context.Context, change feed.Change) error {
	events, err := s.Events(change)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := s.Send(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
