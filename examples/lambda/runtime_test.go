package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/head"
)

// answer is what a function answered to an invocation.
type answer struct {
	path string
	body map[string]any
}

// serveInvocations runs the function on invocations that end at the deadlines, each
// after the answer to the one before.
func serveInvocations(t *testing.T, work func(context.Context) (feed.RelayReport, error), deadlines ...string) (answers []answer, err error) {
	next := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, _ *http.Request) {
		if next == len(deadlines) {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprintf("id-%d", next))
		w.Header().Set("Lambda-Runtime-Deadline-Ms", deadlines[next])
		next++
		_, _ = w.Write([]byte(`{"source":"aws.scheduler"}`))
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{end}", func(w http.ResponseWriter, r *http.Request) {
		a := answer{path: r.PathValue("id") + " " + r.PathValue("end")}
		if json.NewDecoder(r.Body).Decode(&a.body) != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		answers = append(answers, a)
		w.WriteHeader(http.StatusAccepted)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	err = lambda{api: server.URL + "/2018-06-01/runtime", work: work}.serve(t.Context())
	return answers, err
}

func inMinutes(n int) string {
	return fmt.Sprint(time.Now().Add(time.Duration(n) * time.Minute).UnixMilli())
}

// bare hides the log of a store, so that its feed needs a relay.
type bare struct{ head.Store }

// Each invocation feeds what has happened before it.
func TestEachInvocationFeeds(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, bare{db}, nil)
	relay := feed.Open(store, nil).Relay(nil)
	invocation := 0
	work := func(ctx context.Context) (feed.RelayReport, error) {
		invocation++
		_, err := store.Chain(fmt.Sprint("order-", invocation)).Create(ctx, ropewalk.Draft{Content: []byte("x")})
		require.NoError(t, err)
		return relay.Once(ctx)
	}
	answers, err := serveInvocations(t, work, inMinutes(1), inMinutes(2))
	require.ErrorContains(t, err, "next invocation: GET /invocation/next: 410 Gone")
	fed := map[string]any{"batches": 1.0, "advances": 1.0, "restored": nil, "unread": nil}
	require.Equal(t, []answer{{"id-0 response", fed}, {"id-1 response", fed}}, answers)
}

// A failure is the error of its invocation, and the next one is served.
func TestFailuresAreErrorsOfTheirInvocations(t *testing.T) {
	failures := []error{errors.New("away"), nil}
	work := func(context.Context) (feed.RelayReport, error) {
		err := failures[0]
		failures = failures[1:]
		return feed.RelayReport{}, err
	}
	answers, _ := serveInvocations(t, work, inMinutes(1), inMinutes(1))
	require.Len(t, answers, 2)
	require.Equal(t, answer{"id-0 error", map[string]any{"errorType": "RelayError", "errorMessage": "away"}}, answers[0])
	require.Equal(t, "id-1 response", answers[1].path)
}

// The work ends before Lambda would kill it, and so it is answered.
func TestWorkEndsBeforeTheInvocation(t *testing.T) {
	end := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	var given time.Time
	work := func(ctx context.Context) (feed.RelayReport, error) {
		given, _ = ctx.Deadline()
		return feed.RelayReport{}, nil
	}
	_, _ = serveInvocations(t, work, fmt.Sprint(end.UnixMilli()))
	require.True(t, given.Equal(end.Add(-reserve)), "%s, %s", given, end)

	late := func(ctx context.Context) (feed.RelayReport, error) {
		<-ctx.Done()
		return feed.RelayReport{}, ctx.Err()
	}
	answers, _ := serveInvocations(t, late, fmt.Sprint(time.Now().UnixMilli()))
	require.Equal(t, "id-0 error", answers[0].path)
}

// Without a deadline it is unknown how long the work may take.
func TestInvocationsWithoutADeadline(t *testing.T) {
	answers, err := serveInvocations(t, nil, "soon")
	require.ErrorContains(t, err, `the invocation "id-0" has the deadline "soon"`)
	require.Empty(t, answers)
}

func TestTheStoreIsNamedByVariables(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_PROFILE": "",
		"ROPEWALK_BUCKET": "", "ROPEWALK_TABLE": "", "ROPEWALK_PREFIX": "",
	} {
		t.Setenv(name, value)
	}
	_, err := open(t.Context())
	require.ErrorContains(t, err, "ROPEWALK_BUCKET")
	t.Setenv("ROPEWALK_BUCKET", "acme-orders")
	_, err = open(t.Context())
	require.ErrorContains(t, err, "ROPEWALK_TABLE")
	t.Setenv("ROPEWALK_TABLE", "acme-heads")
	_, err = open(t.Context())
	require.NoError(t, err)
}
