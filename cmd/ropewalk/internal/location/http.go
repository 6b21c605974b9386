package location

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// The limits of a request. If an endpoint cannot be reached, or does not answer,
// the command fails within seconds. An answer that has begun has no limit.
const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 10 * time.Second
	maxAttempts   = 3
	maxPause      = time.Second / 2 // between two attempts
)

// limitDial sets the limits of making a connection.
func limitDial(d *net.Dialer) { d.Timeout = dialTimeout }

// limitTransport sets the limits of waiting for an answer, and keeps connections
// for the requests that a reader has under way.
func limitTransport(t *http.Transport) {
	t.TLSHandshakeTimeout = dialTimeout
	t.ResponseHeaderTimeout = answerTimeout
	// A read has up to 1,024 requests under way. More connections than this make it
	// no faster.
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 512, 512, 512
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// The connections of a read resume the session of the first connection, which
	// loaded the head.
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
}
