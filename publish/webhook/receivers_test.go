package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ropewalk/publish/webhook"
)

// wired is what became of sending one event.
type wired struct {
	err         error
	took        time.Duration
	connections int
	logs        string
	answered    atomic.Int64 // bytes of the answers
}

// wire sends one event over connections that serve answers, byte by byte.
func wire(t *testing.T, options webhook.Options, serve func(net.Conn)) *wired {
	t.Helper()
	w := &wired{}
	var b bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		var servers sync.WaitGroup
		transport := webhook.NewTransport()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			w.connections++
			client, server := net.Pipe()
			servers.Go(func() {
				defer server.Close()
				serve(counted{server, &w.answered})
			})
			return client, nil
		}
		options.Transport, options.AllowHTTP, options.Logger = transport, true, logTo(&b)
		s, err := webhook.New("http://receiver.example/", []webhook.Secret{secret}, &options)
		require.NoError(t, err)
		start := time.Now()
		w.err = s.Send(t.Context(), placed())
		w.took = time.Since(start)
		transport.CloseIdleConnections()
		servers.Wait()
	})
	w.logs = b.String()
	return w
}

// counted counts the bytes that are written.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// answering reads the request and then writes.
func answering(write func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if _, err = io.Copy(io.Discard, r.Body); err == nil {
			write(c)
		}
	}
}

func text(text string) func(net.Conn) {
	return answering(func(c net.Conn) { _, _ = io.WriteString(c, text) })
}

// repeating writes the first text, and then the other one for ever, with pauses.
func repeating(first, again string, pause time.Duration) func(net.Conn) {
	return answering(func(c net.Conn) {
		_, err := io.WriteString(c, first)
		for err == nil {
			time.Sleep(pause)
			_, err = io.WriteString(c, again)
		}
	})
}

const ok = "HTTP/1.1 200 OK\r\n"

// A receiver that gives no answer of HTTP has not accepted the event.
func TestReceiversThatGiveNoAnswer(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"closes at once":           func(net.Conn) {},
		"closes after the request": text(""),
		"sends garbage":            text("private data\r\n\r\n"),
		"sends a broken status":    text("HTTP/1.1 2000 private data\r\n\r\n"),
		"sends another protocol":   text("SSH-2.0-private\r\n"),
		"sends half a status":      text("HTTP/1.1 20"),
		"sends half a header":      text(ok + "Content-Le"),
		"sends a bad header":       text(ok + "private data\r\n\r\n"),
		"sends two lengths":        text(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
		"sends a length of words":  text(ok + "Content-Length: private\r\n\r\n"),
		"sends endless headers":    repeating(ok, "A: "+strings.Repeat("b", 4000)+"\r\n", 0),
		"sends an endless header":  repeating(ok+"A: ", strings.Repeat("b", 4000), 0),
		"informs without end":      repeating("", "HTTP/1.1 102 Processing\r\n\r\n", 0),
		"is slow with its header":  repeating(ok, "A: b\r\n", time.Second),
		"is silent":                answering(func(net.Conn) { time.Sleep(time.Hour) }),
		"does not read":            func(net.Conn) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t, webhook.Options{RetryFor: time.Minute}, serve)
			failure, ok := errors.AsType[*webhook.DeliveryError](w.err)
			require.True(t, ok, "%v", w.err)
			require.Zero(t, failure.Status)
			require.Greater(t, failure.Attempts, 1, "another attempt may succeed")
			require.Equal(t, failure.Attempts, w.connections)
			require.Less(t, w.took, time.Minute+time.Minute+15*time.Second)
			require.NotContains(t, w.err.Error(), "private")
			require.NotContains(t, w.logs, "private")
			require.Less(t, len(w.err.Error()), 300)
			require.Less(t, w.answered.Load(), int64(w.connections)*(100<<10), "an answer is bounded")
		})
	}
}

// The status decides. A receiver that has sent 2xx has accepted the event, even if the
// body breaks off. A slow body is not waited for.
func TestReceiversThatAcceptAndThenMisbehave(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"closes before the body":    text(ok + "Content-Length: 100\r\n\r\n"),
		"closes within the body":    text(ok + "Content-Length: 100\r\n\r\nabc"),
		"sends a bad chunk":         text(ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
		"sends an endless body":     repeating(ok+"\r\n", strings.Repeat("a", 4000), 0),
		"sends endless chunks":      repeating(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 0),
		"sends a slow body":         repeating(ok+"\r\n", "a", 100*time.Millisecond),
		"promises a body":           answering(func(c net.Conn) { _, _ = io.WriteString(c, ok+"Content-Length: 1\r\n\r\n"); time.Sleep(time.Hour) }),
		"informs, and then accepts": text("HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "\r\n"),
		"sends nothing more":        text("HTTP/1.0 204 No Content\r\n\r\n"),
		"says that it is packed":    text(ok + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na"),
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t, webhook.Options{}, serve)
			require.NoError(t, w.err)
			require.LessOrEqual(t, w.took, time.Second)
			require.Equal(t, 1, w.connections)
		})
	}
}

// The beginning of an error's body is kept, and no more.
func TestBodiesOfErrorsAreBounded(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"endless": repeating("HTTP/1.1 400 No\r\n\r\n", strings.Repeat("a", 4000), 0),
		"slow":    repeating("HTTP/1.1 400 No\r\n\r\n"+strings.Repeat("a", 1020), "a", 250*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t, webhook.Options{}, serve)
			failure, ok := errors.AsType[*webhook.DeliveryError](w.err)
			require.True(t, ok, "%v", w.err)
			require.Equal(t, 400, failure.Status)
			require.InDelta(t, 1024, len(failure.Body), 4)
			require.LessOrEqual(t, len(failure.Body), 1024)
			require.LessOrEqual(t, w.took, time.Second)
			require.ErrorContains(t, w.err, "400 Bad Request")
		})
	}
}

// A status without a meaning is no success.
func TestStatusOfNoMeaning(t *testing.T) {
	for _, status := range []string{"101 Switching Protocols", "299 Hello", "600 Hello", "999 Hello"} {
		w := wire(t, webhook.Options{}, text("HTTP/1.1 "+status+"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))
		require.Equal(t, status[0] == '2', w.err == nil, status)
		require.Equal(t, 1, w.connections, status)
	}
}

// A timeout bounds the whole attempt. The error matches the error of a deadline.
func TestASlowReceiverTimesOut(t *testing.T) {
	w := wire(t, webhook.Options{Timeout: 3 * time.Second, RetryFor: -1}, repeating(ok, "A: b\r\n", time.Second))
	require.ErrorIs(t, w.err, context.DeadlineExceeded)
	require.Equal(t, 3*time.Second, w.took)
	require.Equal(t, 1, w.connections)
}

// A connection is used again, if the receiver behaves.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		assert.Empty(t, r.Header["Accept-Encoding"], "an answer that is packed could be a bomb")
		_, _ = io.WriteString(w, "thanks")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s, err := webhook.New(server.URL, []webhook.Secret{secret}, &webhook.Options{AllowHTTP: true, Allow: []netip.Prefix{loopback}})
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, s.Send(t.Context(), placed()))
	}
	require.EqualValues(t, 1, opened.Load())
}

// Neither the event nor its credentials go where a redirect leads.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }))
		s, err := webhook.New(server.URL, []webhook.Secret{secret}, &webhook.Options{AllowHTTP: true, Allow: []netip.Prefix{loopback}})
		require.NoError(t, err)
		err = s.Send(t.Context(), placed())
		server.Close()
		require.ErrorIs(t, err, webhook.ErrRedirected)
		require.ErrorContains(t, err, fmt.Sprintf("the receiver answered %d %s: redirects are not followed", status, http.StatusText(status)))
	}
	require.Zero(t, elsewhere.Load())
}

// A receiver must prove its name. Nothing is sent to another one.
func TestCertificatesAreVerified(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	options := webhook.Options{Allow: []netip.Prefix{loopback}, RetryFor: -1}
	s, err := webhook.New(server.URL, []webhook.Secret{secret}, &options)
	require.NoError(t, err)
	err = s.Send(t.Context(), placed())
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	require.True(t, ok, "%v", err)
	require.ErrorContains(t, err, "certificate")
	require.Zero(t, requests.Load())

	transport := webhook.NewTransport(loopback)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	options.Transport = transport
	s, err = webhook.New(server.URL, []webhook.Secret{secret}, &options)
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context(), placed()))
	require.EqualValues(t, 1, requests.Load())

	s, err = webhook.New(strings.Replace(server.URL, "https", "http", 1), []webhook.Secret{secret}, &webhook.Options{Allow: []netip.Prefix{loopback}, AllowHTTP: true})
	require.NoError(t, err)
	require.ErrorContains(t, s.Send(t.Context(), placed()), "400 Bad Request")
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer plain.Close()
	s, err = webhook.New(strings.Replace(plain.URL, "http", "https", 1), []webhook.Secret{secret}, &webhook.Options{Allow: []netip.Prefix{loopback}, RetryFor: -1})
	require.NoError(t, err)
	require.ErrorContains(t, s.Send(t.Context(), placed()), http.ErrSchemeMismatch.Error())
	require.EqualValues(t, 1, requests.Load())
}
