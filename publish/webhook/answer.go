package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The causes of a [DeliveryError], besides [ErrAddress] and errors of connections.
var (
	// ErrGone means that the receiver answered 410: it wants no more events. A program
	// should stop the subscription.
	ErrGone = errors.New("the receiver wants no more events")
	// ErrRedirected means that the receiver answered with a redirect, which is not
	// followed: a redirect can lead to another owner's host. If it is right, the URL of
	// the sender must be changed.
	ErrRedirected = errors.New("redirects are not followed")
)

// DeliveryError says that an event was not delivered, as far as is known: if no answer
// arrived, the receiver may have handled it all the same.
type DeliveryError struct {
	// ID is the ID of the event.
	ID string
	// Host is the host of the receiver's URL.
	Host string
	// Attempts is the number of requests.
	Attempts int
	// Status is the status code of the last answer, 0 if the last request had no answer.
	Status int
	// Body is the beginning of the body of the last answer, at most 1,024 bytes. It can
	// be anything, and can repeat content of the event: the error's text does not have it.
	Body []byte
	// Err is the cause if the status does not say it: [ErrGone], [ErrRedirected],
	// [ErrAddress], an error of the connection, or the context's error.
	Err error
}

// Error names the event and the host, and says what the receiver answered.
func (e *DeliveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "event %s was not delivered to %s, attempts: %d", e.ID, e.Host, e.Attempts)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": the receiver answered %s", strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// answer is what became of one attempt.
type answer struct {
	status int           // 0 without an answer
	body   []byte        // the beginning of the body
	wait   time.Duration // what the receiver asks for
	err    error         // the cause that the status does not say
}

// The limits of reading the body of an answer. A body within the limits is read to its
// end, so that the connection can be used again.
const (
	maxKept  = 1 << 10
	maxRead  = 16 << 10
	readTime = time.Second
)

// read reads an answer, as far as it matters. The status alone decides: a body that
// breaks off changes nothing. stop ends a body that is too slow.
func read(response *http.Response, stop context.CancelFunc) answer {
	defer time.AfterFunc(readTime, stop).Stop()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxRead))
	a := answer{
		status: response.StatusCode,
		body:   body[:min(len(body), maxKept)],
		wait:   retryAfter(response.Header.Get("Retry-After"), time.Now()),
	}
	switch {
	case a.status == http.StatusGone:
		a.err = ErrGone
	case a.status/100 == 3:
		a.err = ErrRedirected
	}
	return a
}

// delivered reports whether the receiver has accepted the event.
func (a answer) delivered() bool { return a.status/100 == 2 }

// mayPass reports whether another attempt may succeed.
func (a answer) mayPass() bool {
	switch a.status {
	case 0:
		return !errors.Is(a.err, ErrAddress)
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return a.status/100 == 5
}

// retryAfter returns the pause that a header asks for, in seconds or until a date. It
// is 0 if the header is neither, or the date has passed.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(date.Sub(now), 0)
}

// failed returns the answer of a request that had none. The text of an error can
// repeat bytes of the receiver; only the errors that are known not to do so keep their
// text.
func failed(err error) answer {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may have a token
	}
	_, network := errors.AsType[net.Error](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	if network || certificate || errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrSchemeMismatch) {
		return answer{err: err}
	}
	return answer{err: unnamedError{err}}
}

// unnamedError is an error whose text may not be shown.
type unnamedError struct{ error }

func (unnamedError) Error() string { return "the receiver gave no valid HTTP answer" }

func (e unnamedError) Unwrap() error { return e.error }
