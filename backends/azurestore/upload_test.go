package azurestore_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A transport may still read the body of an attempt whose reply has come. What
// it reads must not be missing from the next attempt.
func TestEachAttemptOfAPutHasABodyOfItsOwn(t *testing.T) {
	c, _ := built(t)
	var first io.Reader
	s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		if first == nil {
			first = r.Body
			_, err := io.ReadFull(first, make([]byte, 1))
			require.NoError(t, err)
			return respond(r, http.StatusServiceUnavailable, ""), nil
		}
		begin := make([]byte, 1)
		_, err := io.ReadFull(r.Body, begin)
		require.NoError(t, err)
		late, err := io.ReadAll(first)
		require.NoError(t, err)
		require.Equal(t, c.Body[1:], late)
		rest, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, c.Body, append(begin, rest...))
		return succeeding(http.StatusCreated)(r)
	})
	require.NoError(t, s.Put(t.Context(), c))
	require.Equal(t, []string{http.MethodPut, http.MethodPut}, wire.take())
}
