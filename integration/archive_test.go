//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/archive"
	"ropewalk/archive/archivetest"
	"ropewalk/backends/azurestore"
	"ropewalk/backends/memstore"
	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/gc"
)

// files returns an empty destination in the place.
func (s awsSite) files(t testing.TB, way http.RoundTripper) archive.Destination {
	f, err := s3store.NewFiles(s.with(way).s3(), s.bucket, &s3store.Options{Prefix: s.prefix + uuid.NewString() + "/"})
	require.NoError(t, err)
	return f
}

func (s azureSite) files(t testing.TB, way http.RoundTripper) archive.Destination {
	f, err := azurestore.NewFilesFromConnectionString(s.connection, &azurestore.Options{
		ChangesetsContainer: s.options.ChangesetsContainer, Prefix: s.options.Prefix + uuid.NewString() + "/",
		Client: service.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: &http.Client{Transport: way}, Retry: policy.RetryOptions{RetryDelay: unit, MaxRetryDelay: unit},
		}},
	})
	require.NoError(t, err)
	return f
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		place := c.open(t)
		archivetest.TestDestination(t, func(t *testing.T) archive.Destination { return place.files(t, direct) })
	})
}

// lossy loses every third reply to a write, after its effect.
type lossy struct {
	http.RoundTripper
	writes atomic.Int64
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := l.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodPut || l.writes.Add(1)%3 != 0 {
		return reply, err
	}
	_ = reply.Body.Close()
	return nil, errors.New("the reply is lost")
}

// TestArchive archives a store to every cloud while replies are lost, erases an
// aggregate in the archive, and proves the archive each time.
func TestArchive(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		db := memstore.New()
		store := ropewalk.New(db, db, nil)
		a := archive.Open(c.open(t).files(t, &lossy{RoundTripper: direct}), &archive.Options{BatchRows: 20})
		archiveSome(t, store, a, "order/1", "order/2")
		archiveSome(t, store, a, "order/3")
		_, err := gc.New(db, db, &gc.Options{Delete: true}).Erase(t.Context(), "order/2")
		require.NoError(t, err)
		report := archiveSome(t, store, a, "order/4")
		require.EqualValues(t, 1, report.Pending)
		erased, err := a.Erase(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 25, erased.Rows)
		require.EqualValues(t, 75, proved(t, store, a))
		again, err := a.Run(t.Context(), feed.Open(store, nil))
		require.NoError(t, err)
		require.Zero(t, again.Orphans+again.Pending)
	})
}

// archiveSome writes 25 events to each aggregate, and archives them.
func archiveSome(t *testing.T, store *ropewalk.Store, a *archive.Archive, ids ...string) archive.Report {
	for _, id := range ids {
		for i := range 5 {
			var content []byte
			for n := range 5 {
				content = fmt.Appendf(content, `{"type":"type %d/ä","data":%d}`+"\n", n, i)
			}
			_, err := store.Chain(id).Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
				return []changeset.Draft{{Content: content, ContentType: "application/x-ndjson"}}, nil
			})
			require.NoError(t, err)
		}
	}
	report, err := a.Run(t.Context(), feed.Open(store, nil))
	require.NoError(t, err)
	require.EqualValues(t, 25*len(ids), report.Rows)
	return report
}

// proved proves the archive, and returns the number of its rows.
func proved(t *testing.T, store *ropewalk.Store, a *archive.Archive) (rows int64) {
	for proof, err := range a.Verify(t.Context(), store) {
		require.NoError(t, err)
		require.Empty(t, proof.Findings)
		require.Zero(t, proof.Unproved)
		rows += proof.Rows
	}
	return rows
}
