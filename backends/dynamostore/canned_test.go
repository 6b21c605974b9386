package dynamostore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// reply is a canned answer of DynamoDB: an error with a code, or a body.
type reply struct {
	status int
	code   string
	body   string
}

// canned is a server of canned replies, and an HTTP client that reaches it
// without a network, so that it works under testing/synctest.
type canned struct {
	operations []string
	bodies     []map[string]any
	reply      func(n int, operation string) reply
}

// Do answers the request; n counts from 1.
func (c *canned) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	c.operations, c.bodies = append(c.operations, operation), append(c.bodies, body)
	answer := c.reply(len(c.operations), operation)
	if answer.code != "" {
		answer.body = fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"canned"%s}`, answer.code, answer.body)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
	response := w.Result()
	response.Request = r
	return response, nil
}

// always answers every request alike.
func always(r reply) *canned {
	return &canned{reply: func(int, string) reply { return r }}
}

// oneAfterAnother answers with each reply once, and with the last one from then on.
func oneAfterAnother(replies ...reply) *canned {
	return &canned{reply: func(n int, _ string) reply { return replies[min(n, len(replies))-1] }}
}

// canned400 answers every request with an error that has a message.
func canned400(code, message string) doFunc {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, code, message)
		response := w.Result()
		response.Request = r
		return response, nil
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// open returns a store whose client was built from a bare configuration.
func open(t testing.TB, transport aws.HTTPClient, options ...func(*dynamodb.Options)) *dynamostore.Store {
	t.Helper()
	return openWith(t, transport, &dynamostore.Options{Prefix: "p/", Recovery: true}, options...)
}

func openWith(t testing.TB, transport aws.HTTPClient, o *dynamostore.Options, options ...func(*dynamodb.Options)) *dynamostore.Store {
	t.Helper()
	client := dynamodb.NewFromConfig(aws.Config{
		Region: "eu-west-1", HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	}, options...)
	s, err := dynamostore.New(client, "table", o)
	require.NoError(t, err)
	return s
}

// build returns the head of a new chain.
func build(t testing.TB) head.Head {
	t.Helper()
	_, next, err := link.Extend(head.Head{}, "order-1", make([]changeset.Draft, 1), time.Unix(1, 0))
	require.NoError(t, err)
	return next
}

// The outcomes of a swap that failed.
const (
	conflict = "conflict"
	gone     = "conflict with no head"
	untold   = "conflict, winner not told"
	later    = "not applied, retryable"
	never    = "not applied"
	unknown  = "unknown"
)

func kindOf(err error) string {
	var c *head.ConflictError
	var several *head.ConflictsError
	var n *head.NotAppliedError
	switch {
	case errors.As(err, &several):
		return conflict
	case errors.As(err, &c) && c.Winner == nil:
		return untold
	case errors.As(err, &c) && c.Winner.Exists():
		return conflict
	case errors.As(err, &c):
		return gone
	case errors.As(err, &n) && n.Retryable:
		return later
	case errors.As(err, &n):
		return never
	}
	return unknown
}

func requireSetup(t testing.TB, err error, what string) {
	t.Helper()
	var setup *dynamostore.SetupError
	require.ErrorAs(t, err, &setup)
	require.Contains(t, setup.What, what)
	require.NotEmpty(t, setup.Hint)
}
