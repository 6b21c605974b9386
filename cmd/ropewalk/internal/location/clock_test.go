package location

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A slow reply is no difference of the clocks.
func TestAheadIsTheLeastDifference(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct{ start, end, want time.Duration }{
		{0, 0, 0},
		{999 * time.Millisecond, 999 * time.Millisecond, 0},
		{-20 * time.Second, 20 * time.Second, 0},
		{-40 * time.Second, -31 * time.Second, -31 * time.Second},
		{41 * time.Second, 50 * time.Second, 40 * time.Second},
	} {
		require.Equal(t, c.want, ahead(at.Add(c.start), at.Add(c.end), at), c)
	}
}

// The skew is the difference to the time in a reply of the service, of any status; a reply
// of something else does not count.
func TestSkewIsTakenFromTheService(t *testing.T) {
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	at := func(d time.Duration) []string { return []string{time.Now().Add(d).UTC().Format(http.TimeFormat)} }
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "")
	for scheme, env := range map[string]map[string]string{
		"s3://bucket/?region=r&endpoint=" + server.URL: nil,
		"azure:///": {connectionVariable: "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=" + server.URL + "/a;"},
	} {
		p, err := Parse(scheme, env)
		require.NoError(t, err)
		mark := map[bool]string{true: "X-Amz-Request-Id", false: "X-Ms-Request-Id"}[env == nil]
		for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
			header = http.Header{"Date": at(-ahead), mark: {"1"}}
			got, err := p.(Clocked).Skew(t.Context())
			require.NoError(t, err)
			require.InDelta(t, ahead.Seconds(), got.Seconds(), 2)
		}
		for _, header = range []http.Header{{"Date": at(0)}, {"Date": {"yesterday"}, mark: {"1"}}, {"Date": at(0), mark: {"1"}, "Age": {"9"}}} {
			_, err := p.(Clocked).Skew(t.Context())
			require.ErrorContains(t, err, "403")
		}
	}
}
