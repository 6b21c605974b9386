//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

const (
	cutWriters   = 5
	cutPerWriter = 15 // acknowledged appends
	leastCuts    = int64(cutWriters)
)

// tale is an append, and the outcome its writer got.
type tale struct {
	content string
	err     error
}

// TestChainOverCutConnections lets writers append over connections that are cut
// at random moments: the outcome each one got matches the chain.
func TestChainOverCutConnections(t *testing.T) {
	overClouds(t, func(t *testing.T, c cloud) {
		place := c.open(t)
		calm := storage(t, place, c.over(direct))
		proxy := newProxy(t, place.address(t))
		var mu sync.Mutex
		var tales []tale
		var broken atomic.Int64
		var writers sync.WaitGroup
		for n := range cutWriters {
			behind := calm
			behind.Unit = unit / 10 // so that some give up before they know
			connections := through(proxy, c)
			behind.Changesets, behind.Heads = place.stores(t, counted{c.over(connections), &broken})
			writers.Go(func() {
				defer connections.CloseIdleConnections()
				told := write(t, behind, n, &broken)
				mu.Lock()
				defer mu.Unlock()
				tales = append(tales, told...)
			})
		}
		poison(t, proxy, c, &writers)
		requireTold(t, calm, tales)
		t.Logf("%d requests were cut", broken.Load())
		require.Greater(t, broken.Load(), leastCuts)
	})
}

// newProxy starts a proxy that can cut connections.
func newProxy(t *testing.T, address string) *toxiproxy.Proxy {
	t.Helper()
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "cut", "127.0.0.1:0", address)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	return proxy
}

// through returns connections through the proxy, whatever host is named.
func through(proxy *toxiproxy.Proxy, c cloud) *http.Transport {
	way := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, proxy.Listen)
		},
	}
	if !c.fragile {
		way.ResponseHeaderTimeout = 5 * unit
	}
	return way
}

// counted counts the requests that get no reply.
type counted struct {
	http.RoundTripper
	broken *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		c.broken.Add(1)
	}
	return reply, err
}

// write appends until enough was acknowledged and enough requests were cut, each time
// after the head that it has read, and returns each append with the outcome it got.
func write(t *testing.T, s chaintest.Storage, writer int, broken *atomic.Int64) (told []tale) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	chain := s.Faulty(new(faults.Script), true)
	for acknowledged := 0; (acknowledged < cutPerWriter || broken.Load() <= leastCuts) && ctx.Err() == nil; {
		content := fmt.Sprintf("%d.%d", writer, len(told))
		sent, err := appendOnce(ctx, chain, content)
		if sent {
			told = append(told, tale{content, err})
		}
		if sent && err == nil {
			acknowledged++
		}
	}
	return told
}

// appendOnce reads the head and appends two changesets; false where there was
// no head to be had.
func appendOnce(ctx context.Context, chain *ropewalk.Chain, content string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*unit)
	defer cancel()
	h, err := chain.Head(ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return false, err
	}
	_, err = chain.Append(ctx, h, chaintest.Draft(content), chaintest.Draft(content+" too"))
	return true, err
}

// poison cuts connections at random moments until the writers are done.
func poison(t *testing.T, proxy *toxiproxy.Proxy, c cloud, writers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	for {
		select {
		case <-done:
			return
		case <-time.After(rand.N(unit / 2)):
		}
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic(c)))
		require.NoError(t, err)
		time.Sleep(rand.N(unit / 2))
		require.NoError(t, proxy.Toxics.RemoveToxic(t.Context(), "cut"))
	}
}

// toxic returns something that can happen to connections.
func toxic(c cloud) string {
	kinds := []string{
		fmt.Sprintf(`"limit_data", "attributes": {"bytes": %d}`, rand.N(3000)),
		fmt.Sprintf(`"reset_peer", "attributes": {"timeout": %d}`, rand.N(20)),
		fmt.Sprintf(`"latency", "attributes": {"latency": %d}`, rand.N(500)),
		fmt.Sprintf(`"timeout", "attributes": {"timeout": %d}`, rand.N(100)), // 0 lasts until the toxic is removed
	}
	streams := []string{"downstream", "upstream"}
	if c.fragile { // only what becomes of a reply that has been sent
		kinds, streams = kinds[:3], streams[:1]
	}
	return fmt.Sprintf(`{"name": "cut", "stream": %q, "type": %s}`, streams[rand.N(len(streams))], kinds[rand.N(len(kinds))])
}

// requireTold compares all outcomes that the writers got with the chain.
func requireTold(t *testing.T, s chaintest.Storage, tales []tale) {
	told := map[string]int{}
	var want []string
	for _, tale := range tales {
		var uncertain *ropewalk.UncertainError
		switch outcome := tale.err; {
		case outcome == nil:
			told["committed"]++
		case chaintest.IsConflict(outcome):
			told["refused"]++
		case errors.As(outcome, &uncertain):
			told["uncertain"]++
			_, tale.err = s.Direct().Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
			require.True(t, tale.err == nil || chaintest.IsConflict(tale.err), "settle: %v", tale.err)
		default:
			told["failed before it was committed"]++
		}
		if tale.err == nil {
			want = append(want, tale.content, tale.content+" too")
		}
	}
	t.Log(told)
	require.ElementsMatch(t, want, s.Contents(t))
}
