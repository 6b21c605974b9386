//go:build integration

package integration_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// cutPatience is how long a caller waits for a reply that never arrives. The service must
// have begun to act by then.
const cutPatience = 5 * time.Second

// actPatience is how long a service may take to act.
const actPatience = time.Minute

// awsCuts are what can happen on the wire to a reply that the service sends.
var awsCuts = map[string]string{
	"no byte of it arrives":       `{"type":"limit_data","stream":"downstream","attributes":{"bytes":0}}`,
	"it breaks within its header": `{"type":"limit_data","stream":"downstream","attributes":{"bytes":60}}`,
	"it never arrives":            `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
}

// proxied returns the same account through a proxy, over connections of its
// own, and a function that closes the proxy's way back.
func (a *awsAccount) proxied(t *testing.T, toxic string) (behind *awsAccount, poison func()) {
	t.Helper()
	a.needsEmulator(t)
	address, ok := strings.CutPrefix(a.endpoint, "http://")
	require.True(t, ok, "connections can only be cut to an endpoint that speaks plain HTTP")
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "aws", "127.0.0.1:0", strings.TrimSuffix(address, "/"))
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	poison = func() {
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
		require.NoError(t, err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	behind = a.with(transport)
	behind.endpoint = "http://" + proxy.Listen
	return behind, poison
}

// TestAWSSwapOverCutConnection: the connection breaks, for real, after the
// service has acted.
func TestAWSSwapOverCutConnection(t *testing.T) {
	for name, setUp := range awsSetUps {
		account := setUp.account(t)
		for cut, toxic := range awsCuts {
			t.Run(name+" "+cut, func(t *testing.T) {
				t.Parallel()
				behind, poison := account.proxied(t, toxic)
				poison()
				ctx, cancel := context.WithTimeout(t.Context(), cutPatience)
				defer cancel()
				_, first := newAWSAppend(t, head.Head{})
				_, err := setUp.heads(t, behind).Swap(ctx, head.Head{}, first)
				requireUnknown(t, err)
				requireActed(t, setUp.heads(t, account), first.AggregateID, first.SameRecord)
			})
		}
	}
}

// requireActed waits until the stored head is the one that the service was asked for.
func requireActed(t *testing.T, heads head.Store, aggregateID string, isIt func(head.Head) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		stored, err := heads.Load(t.Context(), aggregateID)
		return err == nil && isIt(stored)
	}, actPatience, 20*time.Millisecond, "the service has acted")
}

// TestAWSAppendOverCutConnection: an append that cannot learn its outcome says
// that it is uncertain, and what settles it later finds it committed.
func TestAWSAppendOverCutConnection(t *testing.T) {
	for name, setUp := range awsSetUps {
		account := setUp.account(t)
		for cut, toxic := range awsCuts {
			t.Run(name+" "+cut, func(t *testing.T) {
				t.Parallel()
				behind, poison := account.proxied(t, toxic)
				heads := setUp.heads(t, account)
				requireSettledAfterACut(t, account.objects(t), heads, setUp.heads(t, behind), poison)
			})
		}
	}
}

// requireSettledAfterACut creates a chain, and appends to it when the way back to the heads
// was poisoned. The append is uncertain, and is settled as committed when the service has
// acted.
func requireSettledAfterACut(t *testing.T, objects changeset.Store, direct, behind head.Store, poison func()) {
	t.Helper()
	chain := ropewalk.New(objects, direct, &ropewalk.Options{SettleTimeout: actPatience}).Chain("cut-" + uuid.NewString())
	h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("0")})
	require.NoError(t, err)
	poison()
	cut := ropewalk.New(objects, behind, &ropewalk.Options{SettleTimeout: cutPatience}).Chain(chain.AggregateID())
	_, err = cut.Append(t.Context(), h, changeset.Draft{Content: []byte("1")})
	var uncertain *ropewalk.UncertainError
	require.ErrorAs(t, err, &uncertain)

	requireActed(t, direct, chain.AggregateID(), func(h head.Head) bool { return h.Ref == uncertain.Ref })
	settled, err := chain.Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
	require.NoError(t, err)
	require.Equal(t, uncertain.Ref, settled.Ref)
}
