//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// azureAccount is an account, and the names of containers in it that no other
// test uses.
type azureAccount struct {
	connection string
	options    azurestore.Options
}

// newAzure returns an account whose containers do not exist yet; whatever a
// test makes of them is removed at its end.
func newAzure(t testing.TB) *azureAccount {
	t.Helper()
	connection := os.Getenv("ROPEWALK_TEST_AZURITE")
	if connection == "" {
		t.Fatal("ROPEWALK_TEST_AZURITE is not set: it must hold the connection string of an Azurite or of a storage account; make test starts one and sets it")
	}
	name := "ropewalk-test-" + uuid.NewString()
	a := &azureAccount{connection, azurestore.Options{ChangesetsContainer: name, HeadsContainer: name + "-h", Prefix: "team a/blue/"}}
	t.Cleanup(func() { a.remove(t) })
	return a
}

// provisioned returns an account whose containers exist.
func provisionedAzure(t testing.TB) *azureAccount {
	t.Helper()
	a := newAzure(t)
	require.NoError(t, a.store(t, nil).Provision(t.Context()))
	return a
}

func (a *azureAccount) remove(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, name := range []string{a.options.ChangesetsContainer, a.options.HeadsContainer} {
		_, err := a.client(t, nil).DeleteContainer(ctx, name, nil)
		if err != nil && !bloberror.HasCode(err, bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted) {
			t.Errorf("container %s is not removed: %v", name, err)
		}
	}
}

// client returns the SDK's client with its defaults, except for the options.
func (a *azureAccount) client(t testing.TB, options *policy.ClientOptions) *service.Client {
	t.Helper()
	if options == nil {
		options = &policy.ClientOptions{}
	}
	client, err := service.NewClientFromConnectionString(a.connection, &service.ClientOptions{ClientOptions: *options})
	require.NoError(t, err)
	return client
}

func (a *azureAccount) store(t testing.TB, options *policy.ClientOptions) *azurestore.Store {
	t.Helper()
	own := a.options
	if options != nil {
		own.Client.ClientOptions = *options
	}
	s, err := azurestore.NewFromConnectionString(a.connection, &own)
	require.NoError(t, err)
	return s
}

// changesetBlob returns the SDK's own client of a changeset's blob.
func (a *azureAccount) changesetBlob(t testing.TB, ref changeset.Ref) *blockblob.Client {
	return a.client(t, nil).NewContainerClient(a.options.ChangesetsContainer).NewBlockBlobClient(a.options.Prefix + ref.ObjectName())
}

// headBlob returns the SDK's own client of a head's blob.
func (a *azureAccount) headBlob(t testing.TB, aggregateID string) *blockblob.Client {
	return a.client(t, nil).NewContainerClient(a.options.HeadsContainer).NewBlockBlobClient(a.options.Prefix + head.ObjectName(aggregateID))
}

// azureUpload replaces a blob without any condition.
func azureUpload(t testing.TB, b *blockblob.Client, content []byte) {
	t.Helper()
	_, err := b.Upload(t.Context(), streaming.NopCloser(bytes.NewReader(content)), nil)
	require.NoError(t, err)
}

// azureDownload returns the content of a blob.
func azureDownload(t testing.TB, b *blockblob.Client) []byte {
	t.Helper()
	reply, err := b.DownloadStream(t.Context(), nil)
	require.NoError(t, err)
	content, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return content
}

// azureCreateOnly is the condition that there is no blob yet.
func azureCreateOnly() *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: ifNoneMatchAny()}
}

func ifNoneMatchAny() *blob.ModifiedAccessConditions {
	anyETag := azcore.ETagAny
	return &blob.ModifiedAccessConditions{IfNoneMatch: &anyETag}
}

// azureWire is the way to the service: it notes every request that gets there,
// and its hook, where there is one, decides what comes back.
type azureWire struct {
	mu       sync.Mutex
	requests []*http.Request
	// reply, where it is not nil, is given the service's own reply to the n-th
	// request, from 1.
	reply func(n int, r *http.Request, reply *http.Response) (*http.Response, error)
	// damage changes the first byte of every body on the way.
	damage bool
}

// Do implements [policy.Transporter].
func (w *azureWire) Do(r *http.Request) (*http.Response, error) {
	if w.damage && r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = azureDamaged{r.Body, io.MultiReader(strings.NewReader("!"), skip(r.Body, 1))}
	}
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: err}
	}
	w.mu.Lock()
	w.requests = append(w.requests, r)
	n := len(w.requests)
	w.mu.Unlock()
	if w.reply == nil {
		return reply, nil
	}
	return w.reply(n, r, reply)
}

// azureDamaged is a body that reads from elsewhere.
type azureDamaged struct {
	io.Closer
	io.Reader
}

// skip returns r after its first n bytes.
func skip(r io.Reader, n int64) io.Reader {
	_, _ = io.CopyN(io.Discard, r, n)
	return r
}

// take returns the methods of the requests since the last call.
func (w *azureWire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	methods := []string{}
	for _, r := range w.requests {
		methods = append(methods, r.Method)
	}
	w.requests = nil
	return methods
}

func (w *azureWire) options() *policy.ClientOptions { return &policy.ClientOptions{Transport: w} }

// azureSmallPages makes every listing one of tiny pages.
type azureSmallPages struct{}

func (azureSmallPages) Do(r *policy.Request) (*http.Response, error) {
	if q := r.Raw().URL.Query(); q.Get("comp") == "list" && q.Get("maxresults") == "" {
		q.Set("maxresults", "3")
		r.Raw().URL.RawQuery = q.Encode()
	}
	return r.Next()
}

// azureExtend builds an append of one changeset for each content.
func azureExtend(t testing.TB, after head.Head, aggregateID string, contents ...string) ([]changeset.Changeset, head.Head) {
	t.Helper()
	var drafts []changeset.Draft
	for _, content := range contents {
		drafts = append(drafts, changeset.Draft{Content: []byte(content)})
	}
	cs, next, err := link.Extend(after, aggregateID, drafts, time.Now())
	require.NoError(t, err)
	for i := range cs {
		cs[i].Content = nil // as a store returns it
	}
	return cs, next
}
