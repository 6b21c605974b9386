//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var blobEndpoint = regexp.MustCompile(`BlobEndpoint=(https?://[^/;]+)`)

// behind returns a store in the same account, which is reached through an odd proxy.
func (a *azureAccount) behind(t *testing.T, odd oddity, perCall ...policy.Policy) *azurestore.Store {
	t.Helper()
	endpoint := blobEndpoint.FindStringSubmatch(a.connection)
	if endpoint == nil || strings.HasPrefix(endpoint[1], "https:") {
		t.Skip("a proxy can only stand in front of an endpoint that speaks plain HTTP, as Azurite's does")
	}
	connection := strings.Replace(a.connection, endpoint[1], newOddProxy(t, endpoint[1], odd), 1)
	return (&azureAccount{connection, a.options}).store(t, &policy.ClientOptions{
		PerCallPolicies: perCall, Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, MaxRetryDelay: 10 * time.Millisecond},
	})
}

// azureCalls are all calls that read or write, on what is stored.
func azureCalls(s *azurestore.Store, c changeset.Changeset, old head.Head) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"put":     func(ctx context.Context) error { return s.Put(ctx, c) },
		"get":     func(ctx context.Context) error { _, err := s.Get(ctx, c.Ref, nil); return err },
		"stat":    func(ctx context.Context) error { _, err := s.Stat(ctx, c.Ref); return err },
		"load":    func(ctx context.Context) error { _, err := s.Load(ctx, old.AggregateID); return err },
		"refresh": func(ctx context.Context) error { _, err := s.Refresh(ctx, old); return err },
		"swap":    func(ctx context.Context) error { _, err := s.Swap(ctx, old, link.Fence(old)); return err },
		"list":    func(ctx context.Context) error { _, err := ropewalk.Collect(s.List(ctx, "")); return err },
		"objects": func(ctx context.Context) error {
			_, err := ropewalk.Collect(s.Objects(ctx, old.AggregateID))
			return err
		},
		"aggregates": func(ctx context.Context) error { _, err := ropewalk.Collect(s.Aggregates(ctx, "")); return err },
		"delete":     func(ctx context.Context) error { return s.Delete(ctx, c.Ref) },
		"provision":  s.Provision,
		"check":      func(ctx context.Context) error { _, err := s.Check(ctx); return err },
	}
}

// storedAzure returns a chain of one changeset, as it is stored.
func (a *azureAccount) stored(t *testing.T) (changeset.Changeset, head.Head) {
	t.Helper()
	s := a.store(t, nil)
	cs, next := azureExtend(t, head.Head{}, "odd-"+changeset.NewID().String(), "content")
	require.NoError(t, s.Put(t.Context(), cs[0]))
	stored, err := s.Swap(t.Context(), head.Head{}, next)
	require.NoError(t, err)
	return cs[0], stored
}

// The reply of another server is neither a success, nor an empty store, nor a conflict.
func TestAzureBehindWhatIsNotTheService(t *testing.T) {
	a := provisionedAzure(t)
	c, old := a.stored(t)
	for name, odd := range notTheService {
		t.Run(name, func(t *testing.T) {
			s := a.behind(t, odd)
			for call, do := range azureCalls(s, c, old) {
				err := do(t.Context())
				var broken *azurestore.SetupError
				require.ErrorAs(t, err, &broken, call)
				require.Equal(t, "the reply is not from Azure Blob Storage", broken.What, call)
				require.NotErrorIs(t, err, changeset.ErrNotFound, call)
			}
			_, err := ropewalk.New(s, s, nil).Chain(old.AggregateID).Append(t.Context(), old, changeset.Draft{Content: []byte("x")})
			var broken *azurestore.SetupError
			require.ErrorAs(t, err, &broken)
			var uncertain *ropewalk.UncertainError
			require.False(t, errors.As(err, &uncertain), "no head was sent")
			requireAzureHead(t, a.store(t, nil), old)
		})
	}
}

// An append over changed ETags is refused for good, at once, and nothing that
// was acknowledged is lost.
func TestAzureBehindChangedETags(t *testing.T) {
	a := provisionedAzure(t)
	for name, odd := range changedTags {
		t.Run(name, func(t *testing.T) {
			_, old := a.stored(t)
			s := a.behind(t, odd)
			const settleTimeout = 30 * time.Second
			store := ropewalk.New(s, s, &ropewalk.Options{SettleTimeout: settleTimeout})
			began := time.Now()
			for range 3 {
				var h head.Head
				r, err := store.Chain(old.AggregateID).Reader(t.Context())
				if err == nil {
					h, err = store.Chain(old.AggregateID).Append(t.Context(), r.Head(), changeset.Draft{Content: []byte("x")})
				}
				var broken *azurestore.SetupError
				require.ErrorAs(t, err, &broken)
				require.Contains(t, broken.What, "something on the way")
				var uncertain *ropewalk.UncertainError
				require.False(t, errors.As(err, &uncertain), "%v", err)
				require.Zero(t, h)
			}
			require.Less(t, time.Since(began), 3*settleTimeout, "it waits for the outcome each time")
			requireAzureHead(t, a.store(t, nil), old)
			findings, err := s.Check(t.Context())
			require.NoError(t, err)
			fine := true
			for _, f := range findings {
				fine = fine && f.OK
			}
			require.False(t, fine, "%v", findings)
		})
	}
}

// Everything works through proxies that remove headers which the store can do
// without.
func TestAzureBehindHarmlessProxies(t *testing.T) {
	a := provisionedAzure(t)
	odd := maps.Clone(harmless)
	var refused atomic.Int64
	odd["a busy service"] = oddity{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		if refused.Add(1)%3 != 0 {
			return false
		}
		w.Header().Set("x-ms-request-id", "1")
		w.Header().Set("x-ms-error-code", "ServerBusy")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}}
	for name, odd := range odd {
		t.Run(name, func(t *testing.T) {
			s := a.behind(t, odd)
			store := ropewalk.New(s, s, nil)
			chain := store.Chain("harmless-" + changeset.NewID().String())
			h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("0")})
			require.NoError(t, err)
			for _, content := range []string{"", strings.Repeat("large ", 100_000)} {
				h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte(content)})
				require.NoError(t, err)
			}
			all, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
			require.NoError(t, err)
			require.Len(t, all, 3)
			require.Len(t, all[2].Content, 600_000)
			objects, err := ropewalk.Collect(s.Objects(t.Context(), chain.AggregateID()))
			require.NoError(t, err)
			require.Len(t, objects, 3)
			info, err := s.Stat(t.Context(), all[2].Ref)
			require.NoError(t, err)
			require.EqualValues(t, 600_000, info.BodySize)
		})
	}
}

// A service whose clock is another one refuses for good, and the hint names the clock.
func TestAzureBehindAnotherClock(t *testing.T) {
	a := provisionedAzure(t)
	c, old := a.stored(t)
	s := a.behind(t, oddity{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("x-ms-request-id", "1")
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Request date header too old</AuthenticationErrorDetail></Error>")
		return true
	}})
	for call, do := range azureCalls(s, c, old) {
		var broken *azurestore.SetupError
		require.ErrorAs(t, do(t.Context()), &broken, call)
		require.Contains(t, broken.What, "this machine's clock is 1h0m0s behind the service's")
		require.Contains(t, broken.Hint, "clock")
	}
}

// azurePagesOfOne makes every page of a listing hold one item.
type azurePagesOfOne struct{}

func (azurePagesOfOne) Do(r *policy.Request) (*http.Response, error) {
	if q := r.Raw().URL.Query(); q.Get("comp") == "list" {
		q.Set("maxresults", "1")
		r.Raw().URL.RawQuery = q.Encode()
	}
	return r.Next()
}

// Pages of one item are followed to the end. Markers that repeat end with an
// error, and so do pages without their parts.
func TestAzureListingsBehindOddProxies(t *testing.T) {
	a := provisionedAzure(t)
	for range 3 {
		a.stored(t)
	}
	s := a.behind(t, oddity{}, azurePagesOfOne{})
	heads, err := ropewalk.Collect(s.List(t.Context(), ""))
	require.NoError(t, err)
	require.Len(t, heads, 3)
	aggregates, err := ropewalk.Collect(s.Aggregates(t.Context(), ""))
	require.NoError(t, err)
	require.Len(t, aggregates, 3)

	for name, change := range map[string]func(body []byte) []byte{
		"the same marker for ever": replaced(`<NextMarker/>|<NextMarker>.*</NextMarker>`, `<NextMarker>1</NextMarker>`),
		"no marker":                replaced(`<NextMarker/>|<NextMarker>.*</NextMarker>`, ``),
		"no items":                 replaced(`<Blobs>.*</Blobs>`, ``),
		"another root":             replaced(`EnumerationResults`, `html`),
		"a name outside":           replaced(`<Name>`, `<Name>x`),
		"no names":                 replaced(`<Name>[^<]*</Name>`, ``),
	} {
		t.Run(name, func(t *testing.T) {
			s := a.behind(t, oddity{change: changeListing(change)}, azurePagesOfOne{})
			for _, list := range []func() error{
				func() error { _, err := ropewalk.Collect(s.List(t.Context(), "")); return err },
				func() error { _, err := ropewalk.Collect(s.Objects(t.Context(), aggregates[0])); return err },
				func() error { _, err := ropewalk.Collect(s.Aggregates(t.Context(), "")); return err },
			} {
				var broken *azurestore.SetupError
				require.ErrorAs(t, list(), &broken)
			}
		})
	}
}

func replaced(pattern, by string) func([]byte) []byte {
	return func(body []byte) []byte { return regexp.MustCompile(pattern).ReplaceAll(body, []byte(by)) }
}

// changeListing changes the pages of listings.
func changeListing(change func([]byte) []byte) func(*http.Response) error {
	return func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err == nil && bytes.Contains(body, []byte("<EnumerationResults")) {
			body = change(body)
		}
		setBody(r, body)
		return err
	}
}
