package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/faults"
	"ropewalk/gc"
)

// client speaks to a service over HTTP.
type client struct {
	t   testing.TB
	url string
}

// reply is what came back.
type reply struct {
	status     int
	header     http.Header
	body, etag string
}

func (c client) send(method, path, body string, headers ...string) reply {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return reply{response.StatusCode, response.Header, string(content), response.Header.Get("ETag")}
}

// create creates an order with one line, and returns the reply to the latter.
func (c client) create(id string) reply {
	c.t.Helper()
	created := c.send("PUT", "/orders/"+url.PathEscape(id), `{"customer":"ann"}`, "If-None-Match", "*")
	require.Equal(c.t, 201, created.status, created.body)
	added := c.send("POST", "/orders/"+url.PathEscape(id)+"/lines", rope, "If-Match", created.etag)
	require.Equal(c.t, 200, added.status, added.body)
	return added
}

const rope = `{"item":"rope","quantity":2}`

// start serves orders in memory, where requests go wrong on demand.
func start(t *testing.T) (client, *aggregatetest.Storage) {
	storage := aggregatetest.NewStorage(nil)
	server := httptest.NewServer(newService(storage.Store, nameKey, slog.New(slog.DiscardHandler)).routes())
	t.Cleanup(server.Close)
	return client{t, server.URL}, storage
}

// versions returns how many changesets an order has.
func versions(t *testing.T, storage *aggregatetest.Storage, id string) int {
	t.Helper()
	h, err := storage.Direct.Chain(id).Head(t.Context())
	require.NoError(t, err)
	return int(h.Version) + 1
}

func TestAnOrdersLife(t *testing.T) {
	c, _ := start(t)
	created := c.send("PUT", "/orders/4711", `{"customer":"ann"}`, "If-None-Match", "*")
	require.Equal(t, 201, created.status)
	require.JSONEq(t, `{"customer":"ann","shipped":false}`, created.body)

	added := c.send("POST", "/orders/4711/lines", rope)
	require.Equal(t, 200, added.status, "a line needs no If-Match")
	require.NotEqual(t, created.etag, added.etag)

	got := c.send("GET", "/orders/4711", "")
	require.Equal(t, 200, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, added.etag, got.etag)
	require.JSONEq(t, `{"customer":"ann","lines":{"rope":2},"shipped":false}`, got.body)

	shipped := c.send("POST", "/orders/4711/ship", "", "If-Match", got.etag)
	require.Equal(t, 200, shipped.status)
	require.JSONEq(t, `{"customer":"ann","lines":{"rope":2},"shipped":true}`, shipped.body)
}

func TestUnchangedOrderCostsOneRequest(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	for _, seen := range []string{order.etag, "W/" + order.etag, `"other", ` + order.etag} {
		storage.Script.Reset()
		unchanged := c.send("GET", "/orders/4711", "", "If-None-Match", seen)
		require.Equal(t, 304, unchanged.status)
		require.Equal(t, order.etag, unchanged.etag)
		require.Empty(t, unchanged.body)
		require.Equal(t, 1, storage.Script.Calls(faults.Load))
		require.Zero(t, storage.Script.Calls(faults.Get))
	}
	require.Equal(t, 200, c.send("GET", "/orders/4711", "", "If-None-Match", `"other"`).status)
}

func TestRefusals(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	require.Equal(t, 201, c.send("PUT", "/orders/empty", `{"customer":"ann"}`, "If-None-Match", "*").status)
	for _, test := range []struct {
		status             int
		method, path, body string
		headers            []string
		says               string
	}{
		{400, "PUT", "/orders/new", `{`, []string{"If-None-Match", "*"}, "cannot be read"},
		{400, "PUT", "/orders/new", `{"costumer":"ann"}`, []string{"If-None-Match", "*"}, "costumer"},
		{400, "PUT", "/orders/new", `{"customer":"ann"} {}`, []string{"If-None-Match", "*"}, "more than one"},
		{400, "PUT", "/orders/$x", `{"customer":"ann"}`, []string{"If-None-Match", "*"}, "ID of an order"},
		{400, "POST", "/orders/4711/lines", rope, []string{"Idempotency-Key", ""}, "Idempotency-Key"},
		{400, "PUT", "/orders/new", `{"customer":"ann"}]`, []string{"If-None-Match", "*"}, "more than one"},
		{400, "PUT", "/orders/new", `[{"customer":"ann"}]`, []string{"If-None-Match", "*"}, "cannot be read"},
		{400, "PUT", "/orders/new", "{\"customer\":\"\xff\"}", []string{"If-None-Match", "*"}, "UTF-8"},
		{400, "POST", "/orders/4711/ship", `{"carrier":"ann"}`, []string{"If-Match", order.etag}, "carrier"},
		{400, "POST", "/settle/4711@1.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10", `{} {}`, nil, "more than one"},
		{400, "POST", "/settle/4711", "", nil, "uncertain answer"},
		{404, "GET", "/orders/none", "", nil, "no such order"},
		{404, "GET", "/orders/none", "", []string{"If-None-Match", order.etag}, "no such order"},
		{404, "POST", "/orders/none/lines", rope, nil, "no such order"},
		{400, "POST", "/settle/4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10", "", nil, "after-revision"},
		{400, "POST", "/settle/4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10?after-revision=x", "", nil, "after-revision"},
		{412, "POST", "/settle/4711@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10?after-revision=0", "", nil, "never will"},
		{412, "PUT", "/orders/4711", `{"customer":"bob"}`, []string{"If-None-Match", "*"}, "exists already"},
		{412, "POST", "/orders/4711/lines", rope, []string{"If-Match", `"0.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10"`}, "has changed"},
		{413, "PUT", "/orders/new", `{"customer":"` + strings.Repeat("a", maxBody) + `"}`, []string{"If-None-Match", "*"}, "larger than"},
		{422, "PUT", "/orders/new", `{"customer":""}`, []string{"If-None-Match", "*"}, "needs a customer"},
		{422, "PUT", "/orders/new", `{"customer":"` + strings.Repeat("a", maxText+1) + `"}`, []string{"If-None-Match", "*"}, "needs a customer"},
		{422, "POST", "/orders/4711/lines", `{"item":"rope","quantity":-1}`, nil, "quantity"},
		{422, "POST", "/orders/empty/ship", "", []string{"If-Match", "*"}, "the order is empty"},
		{428, "PUT", "/orders/new", `{"customer":"ann"}`, nil, "If-None-Match: *"},
		{428, "POST", "/orders/4711/ship", "", nil, "If-Match"},
	} {
		t.Run(fmt.Sprint(test.status, test.method, test.path), func(t *testing.T) {
			c.t = t
			refused := c.send(test.method, test.path, test.body, test.headers...)
			require.Equal(t, test.status, refused.status, refused.body)
			var told failure
			require.NoError(t, json.Unmarshal([]byte(refused.body), &told))
			require.Contains(t, told.Error, test.says)
			require.Empty(t, told.Settle)
		})
	}
	require.Equal(t, 2, versions(t, storage, "4711"))
	_, err := storage.Direct.Chain("new").Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

func TestErasedOrderIsGone(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	_, err := gc.New(storage.Memory, storage.Memory, nil).Erase(t.Context(), "4711")
	require.NoError(t, err)

	require.Equal(t, 410, c.send("GET", "/orders/4711", "").status)
	require.Equal(t, 410, c.send("GET", "/orders/4711", "", "If-None-Match", order.etag).status)
	require.Equal(t, 410, c.send("POST", "/orders/4711/lines", rope, "If-Match", order.etag).status)
	require.Equal(t, 410, c.send("PUT", "/orders/4711", `{"customer":"ann"}`, "If-None-Match", "*").status)
}

// Of clients that act on the same state one is served, and the others get the
// current state.
func TestConcurrentClients(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	replies := make([]reply, 2)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = c.send("POST", "/orders/4711/lines", rope, "If-Match", order.etag) })
	}
	wg.Wait()
	if replies[0].status != 200 {
		replies[0], replies[1] = replies[1], replies[0]
	}
	require.Equal(t, 200, replies[0].status, replies[0].body)
	require.Equal(t, 412, replies[1].status, replies[1].body)
	require.Equal(t, replies[0].etag, replies[1].etag)
	require.Equal(t, 3, versions(t, storage, "4711"))
}

// The same between reading and saving, in which no precondition sees it: the
// conflict of the append itself.
func TestConflictAtTheLastMoment(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	other := newService(storage.Direct, nameKey, slog.New(slog.DiscardHandler))
	meanwhile := func() {
		_, err := other.repo.Update(t.Context(), "4711", func(o Order) ([]Event, error) { return o.addLine("hook", 1) })
		require.NoError(t, err)
	}
	storage.BeforeNextSave(meanwhile)
	require.Equal(t, 412, c.send("POST", "/orders/4711/ship", "", "If-Match", order.etag).status)

	storage.BeforeNextSave(meanwhile)
	added := c.send("POST", "/orders/4711/lines", rope)
	require.Equal(t, 200, added.status, "without If-Match it is decided again")
	require.JSONEq(t, `{"customer":"ann","lines":{"rope":4,"hook":2},"shipped":false}`, added.body)
}

// A request that is under way is answered, and the snapshot that it makes due
// is written, before the service ends.
func TestGracefulShutdown(t *testing.T) {
	storage := aggregatetest.NewStorage(nil)
	s := newService(storage.Store, nameKey, slog.New(slog.DiscardHandler))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, s, http.NotFoundHandler()) }()

	c := client{t, "http://" + listener.Addr().String()}
	c.create("4711") // two changesets
	for range 61 {   // and the next one makes 64
		require.Equal(t, 200, c.send("POST", "/orders/4711/lines", rope).status)
	}
	storage.BeforeNextSave(stop)
	require.Equal(t, 200, c.send("POST", "/orders/4711/lines", rope).status)
	require.NoError(t, <-ended)
	require.Equal(t, uint64(1), s.repo.Stats().Written)

	_, err = http.Get(c.url + "/orders/4711") //nolint:noctx // it is refused at once
	require.Error(t, err, "nobody listens any more")
	order, err := s.repo.Load(t.Context(), "4711")
	require.NoError(t, err)
	require.Equal(t, 126, order.State.Lines["rope"])
	require.Equal(t, uint64(1), s.repo.Stats().Used)
}

func TestRunOnAFile(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	path := filepath.Join(t.TempDir(), "orders.db")
	require.NoError(t, run(ctx, settings{addr: "127.0.0.1:0", store: "file:" + path, views: inMemory}, slog.New(slog.DiscardHandler)))
	require.FileExists(t, path)
}

func TestOpen(t *testing.T) {
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "")
	for url, says := range map[string]string{
		"mem:": "",
		"aws://acme-orders/blue/?table=acme-heads&region=eu-west-1": "",
		"azure://acmeorders/blue":                                   "",
		"aws://acme-orders/":                                        "table",
		"aws:///?table=acme-heads":                                  "bucket",
		"azure://":                                                  "names no account",
		"aws://acme-orders/?table=acme-heads&regoin=eu-west-1":      "regoin",
		"azure://acmeorders/?table=acme-heads":                      "table",
		"orders.db":                                                 "want file:PATH",
		"http://example.org":                                        "want file:PATH",
	} {
		_, closeStore, err := open(t.Context(), url, nil)
		if says != "" {
			require.ErrorContains(t, err, says, url)
			continue
		}
		require.NoError(t, err, url)
		require.NoError(t, closeStore())
	}
}
