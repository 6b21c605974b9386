package main

import (
	"net"
	"net/http"
	"time"
)

// The limits of one request: with an endpoint that cannot be reached, or does
// not answer, the command fails within seconds. An answer, once begun, may
// take its time.
const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 10 * time.Second
	maxAttempts   = 3
	maxPause      = time.Second / 2 // between two attempts
)

// limitDial sets the limits of making a connection.
func limitDial(d *net.Dialer) { d.Timeout = dialTimeout }

// limitTransport sets the limits of waiting for an answer, and keeps as many
// connections as a reader has requests under way.
func limitTransport(t *http.Transport) {
	t.TLSHandshakeTimeout = dialTimeout
	t.ResponseHeaderTimeout = answerTimeout
	// A read has up to 1,024 requests under way; more connections than these
	// bring no more of them in the same time.
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 512, 512, 512
}
