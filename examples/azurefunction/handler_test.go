package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/head"
)

// tick calls the handler as the host does for a timer.
func tick(t *testing.T, work func(context.Context) (feed.RelayReport, error)) (int, reply) {
	server := httptest.NewServer(handler{work}.mux())
	defer server.Close()
	const call = `{"Data":{"timer":{"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"relay"}}}`
	got, err := http.Post(server.URL+"/relay", "application/json", strings.NewReader(call))
	require.NoError(t, err)
	defer got.Body.Close()
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	var r reply
	require.NoError(t, json.NewDecoder(got.Body).Decode(&r))
	return got.StatusCode, r
}

// bare hides the log of a store, so that its feed needs a relay.
type bare struct{ head.Store }

// Each tick feeds what has happened before it.
func TestEachTickFeeds(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, bare{db}, nil)
	relay := feed.Open(store, nil).Relay(nil)
	for _, id := range []string{"order-1", "order-2"} {
		_, err := store.Chain(id).Create(t.Context(), ropewalk.Draft{Content: []byte("x")})
		require.NoError(t, err)
		status, r := tick(t, relay.Once)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, reply{map[string]any{}, []string{"fed 1 advances in 1 batches"}}, r)
	}
}

// A failure is a failed execution, with what was fed before it.
func TestFailuresAreFailedExecutions(t *testing.T) {
	status, r := tick(t, func(context.Context) (feed.RelayReport, error) {
		return feed.RelayReport{Batches: 2, Advances: 3}, errors.New("away")
	})
	require.Equal(t, http.StatusInternalServerError, status)
	require.Equal(t, []string{"fed 3 advances in 2 batches: away"}, r.Logs)
}

// The work ends before the host would end the process.
func TestWorkEndsBeforeTheTimeout(t *testing.T) {
	text, err := os.ReadFile("host.json")
	require.NoError(t, err)
	var host struct {
		FunctionTimeout string
		CustomHandler   struct {
			Description struct{ DefaultExecutablePath string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &host))
	midnight, err := time.Parse(time.TimeOnly, "00:00:00")
	require.NoError(t, err)
	timeout, err := time.Parse(time.TimeOnly, host.FunctionTimeout)
	require.NoError(t, err)
	var given time.Duration
	_, _ = tick(t, func(ctx context.Context) (feed.RelayReport, error) {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		given = time.Until(deadline)
		return feed.RelayReport{}, nil
	})
	require.Less(t, given+30*time.Second, timeout.Sub(midnight))
	require.Equal(t, "azurefunction", host.CustomHandler.Description.DefaultExecutablePath, "what go build makes")
}

// The host calls the path of each function that has a folder.
func TestEachFunctionHasAPath(t *testing.T) {
	folders, err := filepath.Glob("*/function.json")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		text, err := os.ReadFile(folder)
		require.NoError(t, err)
		require.True(t, json.Valid(text), folder)
		w := httptest.NewRecorder()
		work := func(context.Context) (feed.RelayReport, error) { return feed.RelayReport{}, nil }
		handler{work}.mux().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/"+filepath.Dir(folder), nil))
		require.Equal(t, http.StatusOK, w.Code, folder)
	}
}

func TestTheStoreIsNamedBySettings(t *testing.T) {
	for name, value := range map[string]string{"ROPEWALK_ACCOUNT": "", "ROPEWALK_PREFIX": "", "ROPEWALK_CHANGESETS": "", "ROPEWALK_HEADS": ""} {
		t.Setenv(name, value)
	}
	_, err := open()
	require.ErrorContains(t, err, "ROPEWALK_ACCOUNT")
	t.Setenv("ROPEWALK_ACCOUNT", "acme")
	_, err = open()
	require.NoError(t, err)
}
