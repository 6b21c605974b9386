package s3store_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/s3store"
)

func openFiles(t testing.TB, transport aws.HTTPClient) *s3store.Files {
	t.Helper()
	client := s3.NewFromConfig(aws.Config{
		Region: "eu-west-1", HTTPClient: transport, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	f, err := s3store.NewFiles(client, "bucket", &s3store.Options{Prefix: "p/"})
	require.NoError(t, err)
	return f
}

func TestNewFilesRefusesBadSettings(t *testing.T) {
	_, err := s3store.NewFiles(nil, "bucket", nil)
	require.Error(t, err)
}

// TestCreateFile: one request has it all.
func TestCreateFile(t *testing.T) {
	server := always(reply{status: http.StatusOK})
	require.NoError(t, openFiles(t, server).Create(t.Context(), "day=1/type=a%2Fb/1.parquet", []byte("hello")))
	require.Len(t, server.requests, 1)
	r := server.requests[0]
	sum := sha256.Sum256([]byte("hello"))
	require.Equal(t, http.MethodPut, r.Method)
	require.Equal(t, "/p/day=1/type=a%2Fb/1.parquet", r.URL.Path)
	require.Equal(t, "hello", server.bodies[0])
	require.Equal(t, "*", r.Header.Get("If-None-Match"))
	require.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("X-Amz-Checksum-Sha256"))
	require.EqualValues(t, 5, r.ContentLength)
}

// TestCreatedFileReplies: only S3's own refusal says that the file exists, and only
// its own acknowledgement that it is stored.
func TestCreatedFileReplies(t *testing.T) {
	for name, r := range map[string]reply{
		"no ETag":        {status: 200, header: map[string]string{"ETag": ""}},
		"no marks":       {status: 200, header: bare(nil)},
		"a login page":   {status: 200, header: map[string]string{"X-Amz-Request-Id": "", "Content-Type": "text/html"}, body: "<html>"},
		"a foreign 412":  {status: 412, header: bare(nil)},
		"server error":   {status: 500, code: "InternalError"},
		"access denied":  {status: 403, code: "AccessDenied"},
		"no bucket":      {status: 404, code: "NoSuchBucket"},
		"not offered":    {status: 501, code: "NotImplemented"},
		"wrong checksum": {status: 400, code: "BadDigest"},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := openFiles(t, always(r)).Create(t.Context(), "a", []byte("hello"))
			require.Error(t, err, name)
			require.NotErrorIs(t, err, fs.ErrExist, name)
		})
	}
	require.ErrorIs(t, openFiles(t, always(reply{status: 412, code: "PreconditionFailed"})).Create(t.Context(), "a", nil), fs.ErrExist)
}

func TestReadFile(t *testing.T) {
	whole := reply{status: 200, body: "hello"}
	broken := reply{status: 200, header: map[string]string{"Content-Length": "9"}, body: "hello"}
	for limit, want := range map[int64]string{0: "h", 4: "hello", 5: "hello", 100: "hello"} {
		got, err := openFiles(t, always(whole)).Read(t.Context(), "a", limit)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	server := oneAfterAnother(broken, broken, whole)
	got, err := openFiles(t, server).Read(t.Context(), "a", 100)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Len(t, server.requests, 3)
	_, err = openFiles(t, always(broken)).Read(t.Context(), "a", 100)
	require.Error(t, err)
}

// TestReadFileReplies: only S3's own answer says that no file has the name.
func TestReadFileReplies(t *testing.T) {
	for name, r := range map[string]reply{
		"a foreign 404": {status: 404, header: bare(nil), body: "not found"},
		"no bucket":     {status: 404, code: "NoSuchBucket"},
		"access denied": {status: 403, code: "AccessDenied"},
		"server error":  {status: 500, code: "InternalError"},
		"no marks":      {status: 200, header: bare(nil), body: "hello"},
		"no size":       {status: 200, header: map[string]string{"Content-Length": ""}, body: "hello"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := openFiles(t, always(r)).Read(t.Context(), "a", 100)
			require.Error(t, err, name)
			require.NotErrorIs(t, err, fs.ErrNotExist, name)
		})
	}
	_, err := openFiles(t, always(reply{status: 404, code: "NoSuchKey"})).Read(t.Context(), "a", 100)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestListFiles(t *testing.T) {
	page := `<ListBucketResult><KeyCount>1</KeyCount><Contents><Key>p/day=1/a%2Fb</Key><Size>1</Size><LastModified>2026-11-28T00:00:00Z</LastModified></Contents></ListBucketResult>`
	server := always(reply{status: 200, body: page})
	names, err := ropewalk.Collect(openFiles(t, server).List(t.Context(), "day="))
	require.NoError(t, err)
	require.Equal(t, []string{"day=1/a%2Fb"}, names)
	require.Equal(t, "p/day=", server.requests[0].URL.Query().Get("prefix"))
	_, err = ropewalk.Collect(openFiles(t, always(reply{status: 200, body: "<html/>"})).List(t.Context(), ""))
	require.Error(t, err, "no listing is not an empty listing")
}

func TestDeleteFile(t *testing.T) {
	for _, r := range []reply{{status: 204}, {status: 404, code: "NoSuchKey"}} {
		require.NoError(t, openFiles(t, always(r)).Delete(t.Context(), "a"))
	}
	require.Error(t, openFiles(t, always(reply{status: 204, header: bare(nil)})).Delete(t.Context(), "a"))
	require.Equal(t, "s3://bucket/p/a", openFiles(t, always(reply{})).Locate("a"))
}
