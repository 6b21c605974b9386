package storeurl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/storeurl"
)

func TestParse(t *testing.T) {
	u, err := storeurl.Parse("aws://bucket/a/b/?table=heads&endpoint=http://localhost:4566&path-style=true", "table", "endpoint", "path-style")
	require.NoError(t, err)
	require.Equal(t, "aws", u.Scheme)
	require.Equal(t, "bucket", u.Host)
	require.Equal(t, "a/b/", u.Prefix)
	require.Equal(t, "heads", u.Parameters["table"])
	endpoint, err := u.Endpoint()
	require.NoError(t, err)
	require.Equal(t, "http://localhost:4566", endpoint)
	pathStyle, err := u.Flag("path-style")
	require.NoError(t, err)
	require.True(t, pathStyle)

	u, err = storeurl.Parse("azure://account")
	require.NoError(t, err)
	require.Empty(t, u.Prefix)
	other, err := u.Flag("path-style")
	require.NoError(t, err)
	require.False(t, other)
}

func TestParseRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"aws://b\x00":             "is not a URL",
		"aws:b":                   "want aws://NAME/PREFIX",
		"aws://key:secret@b":      "want aws://NAME/PREFIX",
		"aws://b:1":               "want aws://NAME/PREFIX",
		"aws://b#f":               "want aws://NAME/PREFIX",
		"aws://b?table=":          "wants one value",
		"aws://b?table=1&table=2": "wants one value",
		"aws://b?tabel=1":         `parameter "tabel" is not known`,
		"aws://b?%":               "cannot be read",
	} {
		_, err := storeurl.Parse(raw, "table")
		require.ErrorContains(t, err, want, raw)
		require.NotContains(t, err.Error(), "secret")
	}
	u, err := storeurl.Parse("s3://b?endpoint=localhost&path-style=yes", "endpoint", "path-style")
	require.NoError(t, err)
	_, err = u.Endpoint()
	require.ErrorContains(t, err, "want a URL")
	_, err = u.Flag("path-style")
	require.ErrorContains(t, err, "want true or false")
}
