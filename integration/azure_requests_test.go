//go:build integration

package integration_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Each call is the requests that it is said to be, also when it fails.
func TestAzureRequestsOfEachCall(t *testing.T) {
	a, wire := provisionedAzure(t), &azureWire{}
	s := a.store(t, wire.options())
	ctx := t.Context()
	cs, next := azureExtend(t, head.Head{}, "counted", "x")
	ref := cs[0].Ref
	var stored, seen head.Head
	for _, call := range []struct {
		name string
		do   func() error
		fine bool
		want []string
	}{
		{"load nothing", func() error { _, err := s.Load(ctx, "counted"); return err }, true, []string{"GET"}},
		{"get nothing", func() error { _, err := s.Get(ctx, ref, nil); return err }, false, []string{"GET"}},
		{"stat nothing", func() error { _, err := s.Stat(ctx, ref); return err }, false, []string{"HEAD"}},
		{"put", func() error { return s.Put(ctx, cs[0]) }, true, []string{"PUT"}},
		{"put again", func() error { return s.Put(ctx, cs[0]) }, true, []string{"PUT", "HEAD"}},
		{"get", func() error { _, err := s.Get(ctx, ref, nil); return err }, true, []string{"GET"}},
		{"stat", func() error { _, err := s.Stat(ctx, ref); return err }, true, []string{"HEAD"}},
		{"swap what is not there", func() error { _, err := s.Swap(ctx, next.WithToken(`"0x1"`), link.Fence(next)); return err }, false, []string{"PUT", "GET"}},
		{"create", func() (err error) { stored, err = s.Swap(ctx, head.Head{}, next); return }, true, []string{"PUT"}},
		{"create again", func() error { _, err := s.Swap(ctx, head.Head{}, next); return err }, false, []string{"PUT"}},
		{"swap", func() error { _, err := s.Swap(ctx, stored, link.Fence(stored)); return err }, true, []string{"PUT"}},
		{"swap again", func() error { _, err := s.Swap(ctx, stored, link.Fence(stored)); return err }, false, []string{"PUT", "GET"}},
		{"swap without token", func() error { _, err := s.Swap(ctx, stored.WithToken(""), link.Fence(stored)); return err }, false, []string{"GET"}},
		{"swap refused by rule", func() error { _, err := s.Swap(ctx, stored, stored); return err }, false, []string{}},
		{"load", func() (err error) { seen, err = s.Load(ctx, "counted"); return }, true, []string{"GET"}},
		{"refresh unchanged", func() error { return refreshed(t, s, seen, true) }, true, []string{"GET"}},
		{"refresh changed", func() error { return refreshed(t, s, stored, false) }, true, []string{"GET"}},
		{"list", func() error { _, err := ropewalk.Collect(s.List(ctx, "")); return err }, true, []string{"GET", "GET"}},
		{"tags", func() error { _, err := ropewalk.Collect(s.Tags(ctx, "")); return err }, true, []string{"GET"}},
		{"objects", func() error { _, err := ropewalk.Collect(s.Objects(ctx, "counted")); return err }, true, []string{"GET"}},
		{"aggregates", func() error { _, err := ropewalk.Collect(s.Aggregates(ctx, "")); return err }, true, []string{"GET"}},
		{"delete", func() error { return s.Delete(ctx, ref) }, true, []string{"DELETE"}},
		{"delete again", func() error { return s.Delete(ctx, ref) }, true, []string{"DELETE"}},
	} {
		err := call.do()
		require.Equal(t, call.fine, err == nil, "%s: %v", call.name, err)
		require.Equal(t, call.want, wire.take(), call.name)
	}
}

// An append is two requests, a backward read of n changesets n + 1.
func TestAzureRequestsOfChains(t *testing.T) {
	a, wire := provisionedAzure(t), &azureWire{}
	s := a.store(t, wire.options())
	chain := ropewalk.New(s, s, nil).Chain("order/1")
	h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("0")})
	require.NoError(t, err)
	require.Equal(t, []string{"PUT", "PUT"}, wire.take())
	const appends = 20
	for i := range appends {
		h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte(strconv.Itoa(i))})
		require.NoError(t, err)
		require.Equal(t, []string{"PUT", "PUT"}, wire.take())
	}
	_, err = chain.Append(t.Context(), h, changeset.Draft{}, changeset.Draft{}, changeset.Draft{})
	require.NoError(t, err)
	require.Equal(t, slices.Repeat([]string{"PUT"}, 4), wire.take())

	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	all, err := ropewalk.Collect(r.Backward(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, 1+appends+3)
	require.Equal(t, slices.Repeat([]string{"GET"}, len(all)+1), wire.take())
}

// An append whose replies are lost, one at each place, is committed once, and
// says so.
func TestAzureAppendSurvivesLostReplies(t *testing.T) {
	a := provisionedAzure(t)
	for name, lose := range azureLosses {
		for place := range 3 {
			t.Run(name+" at "+strconv.Itoa(place+1), func(t *testing.T) {
				t.Parallel()
				wire := &azureWire{reply: func(n int, r *http.Request, reply *http.Response) (*http.Response, error) {
					if n != place+1 {
						return reply, nil
					}
					_, _ = io.Copy(io.Discard, reply.Body)
					_ = reply.Body.Close()
					return lose(r)
				}}
				s := a.store(t, wire.options())
				chain := ropewalk.New(s, s, nil).Chain("lossy-" + changeset.NewID().String())
				h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("0")})
				require.NoError(t, err)
				h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte("1")})
				require.NoError(t, err)
				require.EqualValues(t, 1, h.Version)
				all, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
				require.NoError(t, err)
				require.Len(t, all, 2)
				objects, err := ropewalk.Collect(s.Objects(t.Context(), chain.AggregateID()))
				require.NoError(t, err)
				require.Len(t, objects, 2, "nothing is stored twice")
			})
		}
	}
}
