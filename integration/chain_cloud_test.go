//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/aws/smithy-go/logging"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/archive"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

// unit is the unit of waiting in the tests of chains: well above the time that
// a request to an emulator takes.
const unit = 200 * time.Millisecond

// cloud is a storage of both interfaces that the whole is tested over.
type cloud struct {
	name string
	// open returns a place that no other test uses, removed at the test's end.
	open func(testing.TB) site
	// fragile storage must not see a connection end before it has answered:
	// LocalStack's S3 empties an object before it replaces it, and goes no
	// further when the client is gone.
	fragile bool
}

// over returns the way to the service over connections.
func (c cloud) over(connections http.RoundTripper) http.RoundTripper {
	if c.fragile {
		return patient{connections}
	}
	return connections
}

// patient is a way on which every reply is awaited, though not by a client
// whose context ends.
type patient struct{ http.RoundTripper }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	r = r.Clone(context.WithoutCancel(ctx))
	if r.Body != nil {
		var content bytes.Buffer
		_, err := content.ReadFrom(r.Body) // the client may send it again in the meantime
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(&content)
	}
	type outcome struct {
		reply *http.Response
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		reply, err := p.RoundTripper.RoundTrip(r)
		done <- outcome{reply, err}
	}()
	select {
	case o := <-done:
		return o.reply, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				_ = o.reply.Body.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// site is a place in a cloud.
type site interface {
	// stores returns the backends, over clients that retry within milliseconds.
	stores(t testing.TB, way http.RoundTripper) (changeset.Store, head.Store)
	// files returns an empty destination of archives.
	files(t testing.TB, way http.RoundTripper) archive.Destination
	// address returns the host and port of the service.
	address(t testing.TB) string
	// url names the place to the command, and environment lets it in there.
	url() string
	environment(t testing.TB) []string
}

var clouds = []cloud{
	{name: "S3 and DynamoDB", open: func(t testing.TB) site {
		return awsSite{newLocalStack(t).provisionedBucket(t).provisionedTable(t), "aws"}
	}},
	{name: "S3", fragile: true, open: func(t testing.TB) site { return awsSite{newLocalStack(t).provisionedBucket(t), "s3"} }},
	{name: "another S3", open: func(t testing.TB) site { return awsSite{newOtherS3(t).provisionedBucket(t), "s3"} }},
	{name: "Azure", open: func(t testing.TB) site { return azureSite{provisionedAzure(t)} }},
}

// overClouds runs a test over all clouds, at the same time.
func overClouds(t *testing.T, test func(*testing.T, cloud)) {
	subtests(t, clouds, func(c cloud) string { return c.name }, test, make(chan struct{}, len(clouds)))
}

// slots are for the cases of [atOnce] in all tests together. More cases at a time would
// end no earlier, and make each request slower.
var slots = make(chan struct{}, 24)

// atOnce runs subtests at the same time, however few processors there are: they mostly
// wait.
func atOnce[T any](t *testing.T, cases []T, name func(T) string, test func(*testing.T, T)) {
	subtests(t, cases, name, test, slots)
}

// subtests runs each subtest when it has a slot.
func subtests[T any](t *testing.T, cases []T, name func(T) string, test func(*testing.T, T), slots chan struct{}) {
	var group errgroup.Group
	for _, c := range cases {
		slots <- struct{}{}
		group.Go(func() error {
			defer func() { <-slots }()
			t.Run(name(c), func(t *testing.T) { test(t, c) })
			return nil
		})
	}
	_ = group.Wait()
}

// direct is the way to a service on which nothing happens.
var direct = func() *http.Transport {
	way := http.DefaultTransport.(*http.Transport).Clone()
	way.MaxIdleConnsPerHost = 64
	way.IdleConnTimeout = time.Second // Azurite closes after 5 seconds, which fails a request that comes at that moment
	return way
}()

// storage returns a chain in the place that does not exist yet.
func storage(t testing.TB, s site, way http.RoundTripper) chaintest.Storage {
	changesets, heads := s.stores(t, way)
	return another(chaintest.Storage{Changesets: changesets, Heads: heads, Unit: unit, Slack: 20 * time.Second})
}

// another returns another chain in the same place, over the same clients.
func another(s chaintest.Storage) chaintest.Storage {
	s.AggregateID = "order/" + uuid.NewString()
	return s
}

// awsSite is a bucket, and with the scheme aws a table.
type awsSite struct {
	*awsAccount
	scheme string
}

func (s awsSite) stores(t testing.TB, way http.RoundTripper) (changeset.Store, head.Store) {
	a := s.with(way)
	a.config.Logger = logging.Nop{} // it writes of every cut connection
	objects := a.objects(t)
	if s.scheme == "s3" {
		return objects, objects
	}
	return objects, a.heads(t)
}

func (s awsSite) address(t testing.TB) string {
	s.needsEmulator(t)
	return hostOf(t, s.endpoint)
}

func (s awsSite) url() string {
	query := url.Values{"region": {s.config.Region}, "path-style": {"true"}}
	if endpoint := s.base(); endpoint != nil {
		query.Set("endpoint", *endpoint)
	}
	if s.scheme == "aws" {
		query.Set("table", s.table)
	}
	return (&url.URL{Scheme: s.scheme, Host: s.bucket, Path: "/" + s.prefix, RawQuery: query.Encode()}).String()
}

func (s awsSite) environment(t testing.TB) []string {
	t.Helper()
	key, err := s.config.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	variables := []string{"AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey}
	if key.SessionToken != "" {
		variables = append(variables, "AWS_SESSION_TOKEN="+key.SessionToken)
	}
	return variables
}

// azureSite is two containers.
type azureSite struct{ *azureAccount }

func (s azureSite) stores(t testing.TB, way http.RoundTripper) (changeset.Store, head.Store) {
	store := s.store(t, &policy.ClientOptions{
		Transport: &http.Client{Transport: way},
		Retry:     policy.RetryOptions{RetryDelay: 5 * time.Millisecond, MaxRetryDelay: 10 * time.Millisecond},
	})
	return store, store
}

func (s azureSite) address(t testing.TB) string {
	_, endpoint, _ := strings.Cut(s.connection, "BlobEndpoint=")
	endpoint, _, _ = strings.Cut(endpoint, ";")
	return hostOf(t, endpoint)
}

func (s azureSite) url() string {
	query := url.Values{"changesets": {s.options.ChangesetsContainer}, "heads": {s.options.HeadsContainer}}
	return (&url.URL{Scheme: "azure", Path: "/" + s.options.Prefix, RawQuery: query.Encode()}).String()
}

func (s azureSite) environment(testing.TB) []string {
	return []string{"AZURE_STORAGE_CONNECTION_STRING=" + s.connection}
}

// hostOf returns the host and port of an endpoint whose connections can be cut.
func hostOf(t testing.TB, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	if u.Scheme != "http" {
		t.Skipf("connections can only be cut to an endpoint that speaks plain HTTP, not to %s", u.Host)
	}
	return u.Host
}
