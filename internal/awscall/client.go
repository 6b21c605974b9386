package awscall

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"

	"ropewalk/internal/finding"
	"ropewalk/internal/transport"
)

// Client makes a store's calls to its service. O are the options of the SDK's
// client for that service. It is safe for concurrent use.
type Client[O any] struct {
	// Service is the service's usual name, such as "S3".
	Service string
	// Region is the region for which requests are signed.
	Region string
	// HTTP sends the requests; see [HTTP].
	HTTP transport.Client
	// Log receives what is repeated, at level debug.
	Log *slog.Logger
	// Again are the error codes with which the service asks to repeat a request.
	Again map[string]bool
	// Guard returns an error for an input that must not be sent.
	Guard func(in any) error
	// Foreign says what is missing in a reply that the service did not send; it
	// returns "" for a reply of the service.
	Foreign func(operation string, reply *http.Response) string
	// Explain returns an error with advice, where there is any.
	Explain func(*Call, error) error
	// Set sets the options of one call.
	Set func(*O, Settings)
}

// Settings are the options of one call, which the SDK's clients keep in fields
// of different types.
type Settings struct {
	HTTP    transport.Client
	Watch   func(*middleware.Stack) error
	Retryer aws.Retryer // nil leaves the client's own
}

// HTTP returns the guarded form of an SDK's HTTP client.
func HTTP(client aws.HTTPClient) transport.Client {
	if b, ok := client.(*awshttp.BuildableClient); ok {
		client = b.Freeze() // an *http.Client
	}
	return transport.Guard(client)
}

// Operation is a method of an SDK's client.
type Operation[In, Out, O any] func(context.Context, *In, ...func(*O)) (*Out, error)

// Do calls an operation that may be repeated, and repeats it while the service
// asks for that. It sends nothing if the context has already ended.
func Do[In, Out, O any](ctx context.Context, c *Client[O], op Operation[In, Out, O], in *In) (*Out, error) {
	var out *Out
	err := Retry(ctx, c.Log, c.Again, func() (err error) {
		out, _, err = call(ctx, c, op, in, nil)
		return err
	})
	return out, err
}

// Once makes the one attempt of a swap. The SDK's own retries would send the
// request again after a lost reply, find their first attempt, and report a
// conflict. The Call then says what is known of the attempt.
func Once[In, Out, O any](ctx context.Context, c *Client[O], op Operation[In, Out, O], in *In) (*Out, *Call, error) {
	return call(ctx, c, op, in, aws.NopRetryer{})
}

// call sends a request. If the service refuses it because of the clock, the SDK
// has learned the difference from the reply, and the same request is sent once
// more: the first was refused before it took effect.
func call[In, Out, O any](ctx context.Context, c *Client[O], op Operation[In, Out, O], in *In, retryer aws.Retryer) (*Out, *Call, error) {
	watched := &Call{service: c.Service, foreign: c.Foreign}
	if err := c.refuse(in); err != nil {
		return nil, watched, err
	}
	send := func() (*Out, error) {
		return op(ctx, in, func(o *O) { c.Set(o, Settings{c.HTTP, watched.watch, retryer}) })
	}
	out, err := send()
	if refusedByClock(err) {
		c.Log.DebugContext(ctx, "repeating a request with the service's time", "code", Code(err))
		watched = &Call{service: c.Service, foreign: c.Foreign}
		out, err = send()
	}
	if err != nil {
		return nil, watched, watched.withCause(c.Explain(watched, err))
	}
	return out, watched, nil
}

// refuse returns the error of a request that must not be sent.
func (c *Client[O]) refuse(in any) error {
	if c.Region == "" {
		return &finding.SetupError{What: "no region is set for " + c.Service, Hint: "add ?region= to the store's URL, or set AWS_REGION"}
	}
	return c.Guard(in)
}
