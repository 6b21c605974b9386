package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/changeset"
	"ropewalk/faults"
)

// secret is a detail of the storage, as errors of the library name them.
const secret = "/srv/acme-bucket/heads-table"

// The causes of failures, each of which names the secret.
var causes = map[string]error{
	"missing":  fmt.Errorf("%s: %w", secret, ropewalk.ErrNotFound),
	"erased":   fmt.Errorf("%s: %w", secret, ropewalk.ErrErased),
	"lost":     fmt.Errorf("%s: %w", secret, ropewalk.ErrHeadLost),
	"invalid":  fmt.Errorf("%s: %w", secret, ropewalk.ErrInvalidAggregateID),
	"key":      fmt.Errorf("%s: %w", secret, aggregate.ErrInvalidKey),
	"large":    fmt.Errorf("%s: %w", secret, ropewalk.ErrTooLarge),
	"format":   fmt.Errorf("%s: %w", secret, ropewalk.ErrUnsupportedFormat),
	"corrupt":  &ropewalk.CorruptError{Object: secret, Reason: secret},
	"conflict": fmt.Errorf("%s: %w", secret, &ropewalk.ConflictError{}),
	"late":     fmt.Errorf("%s: %w", secret, context.DeadlineExceeded),
	"ended":    fmt.Errorf("%s: %w", secret, context.Canceled),
	"other":    errors.New(secret),
}

// A client learns nothing of a failure of the storage except the ID under which
// the log has it, in any request.
func TestFailuresShowNothingOfTheStorage(t *testing.T) {
	for pattern := range (&service{}).handlers() {
		for _, op := range []faults.Op{faults.Load, faults.Get, faults.Put, faults.Swap} {
			for name, cause := range causes {
				t.Run(fmt.Sprint(pattern, " ", op, " ", name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { failAndCompare(t, pattern, op, cause) })
				})
			}
		}
	}
}

func failAndCompare(t *testing.T, pattern string, op faults.Op, cause error) {
	var log bytes.Buffer
	storage := aggregatetest.NewStorage(nil)
	s := newService(storage.Store, nameKey, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := newService(storage.Direct, nameKey, slog.New(slog.DiscardHandler)).repo.Create(t.Context(), "4711", []Event{Created{"ann"}, LineAdded{"rope", 1}})
	require.NoError(t, err)
	storage.Script.Every(op, faults.Fault{Kind: faults.Dropped, Err: cause})

	answered := answerOf(t, s, pattern)
	shown := fmt.Sprint(answered.Body, answered.Header())
	require.NotContains(t, shown, "srv")
	require.NotContains(t, shown, faults.ErrInjected.Error())
	if answered.Code < 400 {
		return // the request needs nothing that failed
	}
	var refused failure
	require.NoError(t, json.Unmarshal(answered.Body.Bytes(), &refused))
	require.NotEmpty(t, refused.Request)
	require.Equal(t, refused.Request, answered.Header().Get("X-Request-Id"))
	require.Contains(t, log.String(), "request="+refused.Request)
	require.Contains(t, log.String(), "error=")
	if answered.Code == 500 && cause.Error() == secret { // the library names other causes in its own words
		require.Contains(t, log.String(), secret)
	}
}

// answerOf sends a request that fits the pattern.
func answerOf(t *testing.T, s *service, pattern string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(pattern, " ")
	ref := changeset.Ref{AggregateID: "4711", Version: 1, ID: changeset.NewID()}
	path = strings.NewReplacer("{id}", "4711", "{ref}", ref.String()).Replace(path)
	if pattern == "PUT /orders/{id}" {
		path = "/orders/new"
	}
	body := map[string]string{"PUT": `{"customer":"ann"}`, "POST": rope}[method]
	if !strings.HasSuffix(path, "/lines") && method == "POST" {
		body = ""
	}
	if pattern == "PUT /customers/{id}" {
		body = `{"email":"ann@example.com"}`
	}
	request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if method == "PUT" {
		request.Header.Set("If-None-Match", "*")
	} else {
		request.Header.Set("If-Match", "*")
	}
	answered := httptest.NewRecorder()
	s.routes().ServeHTTP(answered, request)
	return answered
}

// A page of another site cannot have a browser send a request: neither with a
// body that needs no permission of the service, nor without a body.
func TestCrossSiteRequestsAreRejected(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	require.Equal(t, 200, c.send("PUT", "/customers/4711", `{"email":"ann@example.com"}`).status)
	for pattern := range (&service{}).handlers() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "4711", "{ref}", "4711@1.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10").Replace(path)
		if method == "GET" {
			require.Equal(t, 200, c.send(method, path, "", "Sec-Fetch-Site", "cross-site").status, "a browser shows it to no other site")
			continue
		}
		for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "", "application/jsonp", "text/plain; application/json"} {
			sent := c.send(method, path, rope, "Content-Type", media, "If-Match", order.etag, "If-None-Match", "*")
			require.Equal(t, 415, sent.status, "%s %s: %s", pattern, media, sent.body)
		}
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://example.org"}, {"Origin", "null"}} {
			sent := c.send(method, path, "", append(headers, "If-Match", order.etag, "If-None-Match", "*")...)
			require.Equal(t, 403, sent.status, "%s %s: %s", pattern, headers, sent.body)
		}
	}
	require.Equal(t, 2, versions(t, storage, "4711"))
	same := c.send("POST", "/orders/4711/lines", rope, "Content-Type", "Application/JSON; charset=utf-8", "Origin", c.url)
	require.Equal(t, 200, same.status, same.body)
}
