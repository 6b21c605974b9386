package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"ropewalk/feed"
)

// reserve is the part of an invocation's time that is left for its end: work that
// Lambda kills is not reported.
const reserve = 5 * time.Second

// lambda is the loop of a function: it asks for an invocation, works, and answers.
type lambda struct {
	api  string // the URL of the runtime interface
	work func(context.Context) (feed.RelayReport, error)
}

// serve works until the runtime interface fails, or the context ends.
func (l lambda) serve(ctx context.Context) error {
	for {
		id, deadline, err := l.next(ctx)
		if err != nil {
			return fmt.Errorf("next invocation: %w", err)
		}
		if err := l.invoke(ctx, id, deadline.Add(-reserve)); err != nil {
			return fmt.Errorf("answer to invocation %s: %w", id, err)
		}
	}
}

// next waits for an invocation. Lambda may freeze the process meanwhile, so the
// request has no timeout.
func (l lambda) next(ctx context.Context) (id string, deadline time.Time, err error) {
	header, err := l.send(ctx, http.MethodGet, "/invocation/next", nil)
	if err != nil {
		return "", deadline, err
	}
	id = header.Get("Lambda-Runtime-Aws-Request-Id")
	at, err := strconv.ParseInt(header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil || id == "" {
		return "", deadline, fmt.Errorf("the invocation %q has the deadline %q", id, header.Get("Lambda-Runtime-Deadline-Ms"))
	}
	return id, time.UnixMilli(at), nil
}

// invoke works until the deadline at most. An error is the invocation's error, so that
// Lambda counts and logs it.
func (l lambda) invoke(ctx context.Context, id string, deadline time.Time) error {
	working, cancel := context.WithDeadline(ctx, deadline)
	report, err := l.work(working)
	cancel()
	if err != nil {
		_, err = l.send(ctx, http.MethodPost, "/invocation/"+id+"/error", map[string]string{"errorType": "RelayError", "errorMessage": err.Error()})
		return err
	}
	_, err = l.send(ctx, http.MethodPost, "/invocation/"+id+"/response", map[string]any{
		"batches": report.Batches, "advances": report.Advances, "restored": report.Restored, "unread": report.Unread,
	})
	return err
}

// send sends a request to the runtime interface.
func (l lambda) send(ctx context.Context, method, path string, body any) (http.Header, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, l.api+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil { // so that the connection is used again
		return nil, err
	}
	if reply.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s", method, path, reply.Status)
	}
	return reply.Header, nil
}
