package location

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/stretchr/testify/require"
)

// A new connection resumes the session of an earlier one, in the clients of both clouds.
func TestConnectionsResumeSessions(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	aws := awshttp.NewBuildableClient().WithTransportOptions(limitTransport).GetTransport()
	azure := limitedAzure().Transport.(*http.Client).Transport.(*http.Transport)
	for name, transport := range map[string]*http.Transport{"aws": aws, "azure": azure} {
		t.Run(name, func(t *testing.T) {
			transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			client := &http.Client{Transport: transport}
			for _, resumes := range []bool{false, true} {
				reply, err := client.Get(server.URL)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, reply.Body)
				require.NoError(t, err)
				require.NoError(t, reply.Body.Close())
				require.Equal(t, resumes, reply.TLS.DidResume)
				client.CloseIdleConnections()
			}
		})
	}
}
