//go:build integration

package integration_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oddity is a way in which a server, or a proxy in front of it, does not behave
// as the service does. Each of its functions may be nil.
type oddity struct {
	// answer replies in the service's place, and reports whether it did.
	answer func(http.ResponseWriter, *http.Request) bool
	// change changes the service's reply.
	change func(*http.Response) error
}

// newOddProxy returns the base URL of a proxy in front of the service at the
// target, which is the URL of an emulator. Signatures stay valid: the proxy
// keeps the Host header.
func newOddProxy(t testing.TB, target string, odd oddity) string {
	t.Helper()
	service, err := url.Parse(target)
	require.NoError(t, err)
	service.Path = ""
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Transport:      transport,
		ModifyResponse: odd.change,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(service)
			r.Out.Host = r.In.Host
			if r.In.Header.Get("Accept-Encoding") == "" {
				r.Out.Header.Set("Accept-Encoding", "identity") // or the transport adds gzip
			}
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if odd.answer == nil || !odd.answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	return server.URL
}

// notTheService are proxies that answer every request themselves.
var notTheService = map[string]oddity{
	"a login page":           replies(http.StatusOK, "text/html", "<html><body>Please log in to the network</body></html>"),
	"a health check":         replies(http.StatusOK, "application/json", `{"status": "running"}`),
	"an empty object":        replies(http.StatusOK, "application/json", `{}`),
	"an empty page":          replies(http.StatusOK, "text/plain", ""),
	"no content":             replies(http.StatusNoContent, "", ""),
	"not found":              replies(http.StatusNotFound, "text/html", "<html><body>no such page</body></html>"),
	"not found, no body":     replies(http.StatusNotFound, "", ""),
	"not modified":           replies(http.StatusNotModified, "", ""),
	"a failed precondition":  replies(http.StatusPreconditionFailed, "text/html", "<html></html>"),
	"a bad gateway":          replies(http.StatusBadGateway, "text/html", "<html><body>Bad Gateway</body></html>"),
	"a redirect elsewhere":   redirects(http.StatusFound, "https://login.example.com/"),
	"a redirect to itself":   redirects(http.StatusTemporaryRedirect, ""),
	"an endless error":       endless(http.StatusBadRequest, "text/xml"),
	"an endless success":     endless(http.StatusOK, "application/json"),
	"an endless page of XML": endless(http.StatusOK, "application/xml"),
}

func replies(status int, contentType, body string) oddity {
	return oddity{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}}
}

// redirects redirects every request; to the request's own URL where to is empty.
func redirects(status int, to string) oddity {
	return oddity{answer: func(w http.ResponseWriter, r *http.Request) bool {
		location := to
		if location == "" {
			location = r.URL.String()
		}
		w.Header().Set("Location", location)
		w.WriteHeader(status)
		return true
	}}
}

// endless replies with a body that ends only when the client has gone, or after
// more than any reply may have.
func endless(status int, contentType string) oddity {
	return oddity{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		for range 1 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
				break
			}
		}
		return true
	}}
}

// changedTags are proxies that change entity tags on their way to the client.
var changedTags = map[string]oddity{
	"no ETag":       changesTag(func(string) string { return "" }),
	"weak ETag":     changesTag(func(tag string) string { return "W/" + tag }),
	"suffixed ETag": changesTag(func(tag string) string { return strings.TrimSuffix(tag, `"`) + `-gzip"` }),
	"unquoted ETag": changesTag(func(tag string) string { return strings.Trim(tag, `"`) }),
	"another ETag":  changesTag(func(string) string { return `"0123456789abcdef0123456789abcdef"` }),
}

func changesTag(change func(string) string) oddity {
	return oddity{change: func(r *http.Response) error {
		tag := r.Header.Get("ETag")
		if tag == "" {
			return nil
		}
		r.Header.Del("ETag")
		if tag = change(tag); tag != "" {
			r.Header.Set("ETag", tag)
		}
		return nil
	}}
}

// harmless are proxies through which everything must work.
var harmless = map[string]oddity{
	"no Content-Length": {change: func(r *http.Response) error {
		if r.Request.Method == http.MethodGet {
			r.ContentLength = -1
			r.Header.Del("Content-Length")
		}
		return nil
	}},
	"no Last-Modified": {change: func(r *http.Response) error {
		r.Header.Del("Last-Modified")
		return nil
	}},
	"no Content-Type": {change: func(r *http.Response) error {
		if r.StatusCode >= http.StatusMultipleChoices {
			r.Header.Del("Content-Type")
		}
		return nil
	}},
	"gzip": {change: compressed},
}

// compressed compresses what a client accepts in this way, and weakens the
// entity tag, as proxies do.
func compressed(r *http.Response) error {
	if r.Request.Method != http.MethodGet || !strings.Contains(r.Request.Header.Get("Accept-Encoding"), "gzip") {
		return nil
	}
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	if _, err := io.Copy(w, r.Body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	setBody(r, small.Bytes())
	r.Header.Set("Content-Encoding", "gzip")
	if tag := r.Header.Get("ETag"); tag != "" {
		r.Header.Set("ETag", "W/"+tag)
	}
	return nil
}

func setBody(r *http.Response, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
}
