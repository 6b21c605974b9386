package s3store_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/changeset"
)

func TestNew(t *testing.T) {
	client := s3.New(s3.Options{})
	for _, prefix := range []string{"", "a/", "a/b/", "é ü/", strings.Repeat("x", s3store.MaxPrefix-1) + "/"} {
		_, err := s3store.New(client, "bucket", &s3store.Options{Prefix: prefix})
		require.NoError(t, err, prefix)
	}
	for _, prefix := range []string{"a", "/", "/a/", "a//", "../", "a/./", "\xff/", "a\n/", strings.Repeat("x", s3store.MaxPrefix) + "/"} {
		_, err := s3store.New(client, "bucket", &s3store.Options{Prefix: prefix})
		require.ErrorContains(t, err, "prefix", prefix)
	}
	_, err := s3store.New(nil, "bucket", nil)
	require.Error(t, err)
	_, err = s3store.New(client, "", nil)
	require.Error(t, err)
}

// TestLongestKey: the longest prefix and name fit the 1,024 bytes of a key.
func TestLongestKey(t *testing.T) {
	prefix := strings.Repeat("x", s3store.MaxPrefix-1) + "/"
	s, err := s3store.New(s3.New(s3.Options{}), "b", &s3store.Options{Prefix: prefix})
	require.NoError(t, err)
	c, _ := build(t, "")
	c.AggregateID, c.Count = strings.Repeat("x", 128), 1 // the names of packs are longer
	require.Len(t, strings.TrimPrefix(s.Locate(c.Ref), "s3://b/"), 1024)
	require.Equal(t, "s3://b/"+prefix+"heads/a%2Fb", s.LocateHead("a/b"))
}

// TestBadSetUps: every call returns one clear line and a hint.
func TestBadSetUps(t *testing.T) {
	elsewhere := map[string]string{"X-Amz-Bucket-Region": "us-west-2"}
	tests := map[string]struct {
		reply      reply
		what, hint string
	}{
		"no such bucket": {reply{status: 404, code: "NoSuchBucket"}, "bucket bucket does not exist", "ropewalk init"},
		"wrong region":   {reply{status: 301, code: "PermanentRedirect", header: elsewhere}, `is not in region "eu-west-1"`, "us-west-2"},
		"signed for the wrong region": {
			reply{status: 400, code: "AuthorizationHeaderMalformed"}, `is not in region "eu-west-1"`, "region",
		},
		"denied":      {reply{status: 403, code: "AccessDenied"}, "S3 denies access", "policy"},
		"unknown key": {reply{status: 403, code: "InvalidAccessKeyId"}, "S3 denies access", "credentials"},
		"expired":     {reply{status: 400, code: "ExpiredToken"}, "S3 denies access", "credentials"},
		"bad name":    {reply{status: 400, code: "InvalidBucketName"}, "not the name of a bucket", "name"},
		"archived":    {reply{status: 403, code: "InvalidObjectState"}, "archive", "restore"},
	}
	c, _ := build(t, "")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, always(test.reply))
			_, get := s.Get(t.Context(), c.Ref, nil)
			_, load := s.Load(t.Context(), c.AggregateID)
			for _, err := range []error{s.Put(t.Context(), c), get, load} {
				requireSetup(t, err, test.what)
				var setup *s3store.SetupError
				require.ErrorAs(t, err, &setup)
				require.Contains(t, setup.Hint, test.hint)
			}
		})
	}
}

// TestBadSetUpsByHead: the answer to a HEAD has a status and headers, and no code.
func TestBadSetUpsByHead(t *testing.T) {
	elsewhere := map[string]string{"X-Amz-Bucket-Region": "us-west-2"}
	for what, r := range map[string]reply{
		"S3 denies access":               {status: 403},
		`is not in region "eu-west-1"`:   {status: 301, header: elsewhere},
		`bucket is not in region "eu-we`: {status: 400, header: elsewhere},
	} {
		c, _ := build(t, "")
		_, err := open(t, always(r)).Stat(t.Context(), c.Ref)
		requireSetup(t, err, what)
	}
	c, _ := build(t, "")
	missing := oneAfterAnother(reply{status: 404}, reply{status: 404, code: "NoSuchBucket"})
	_, err := open(t, missing).Stat(t.Context(), c.Ref)
	requireSetup(t, err, "bucket bucket does not exist")
}

func TestNoCredentials(t *testing.T) {
	c, _ := build(t, "")
	server := always(reply{status: http.StatusOK})
	requireSetup(t, open(t, server, withoutCredentials).Put(t.Context(), c), "no request could be made to S3")
	require.Empty(t, server.requests)
}

// TestUnreachable makes real attempts to connect, with the SDK's own retries, between
// which time is virtual.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	synctest.Test(t, func(t *testing.T) {
		client := s3.NewFromConfig(aws.Config{
			Region: "eu-west-1", BaseEndpoint: aws.String("http://" + listener.Addr().String()),
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		})
		s, err := s3store.New(client, "bucket", nil)
		require.NoError(t, err)
		c, _ := build(t, "")
		begin := time.Now()
		requireSetup(t, s.Put(t.Context(), c), "S3 cannot be reached")
		require.Less(t, time.Since(begin), 10*time.Second)
	})
}

// An object in an archive tier is neither missing nor damaged, if S3 says so: the reply
// of another server says nothing.
func TestArchivedObjects(t *testing.T) {
	c, _ := build(t, "")
	archived := reply{status: 403, code: "InvalidObjectState"}
	s := open(t, always(archived))
	_, get := s.Get(t.Context(), c.Ref, nil)
	_, load := s.Load(t.Context(), c.AggregateID)
	for _, err := range []error{get, load} {
		require.ErrorIs(t, err, changeset.ErrArchived)
		require.NotErrorIs(t, err, changeset.ErrNotFound)
		_, corrupt := errors.AsType[*changeset.CorruptError](err)
		require.False(t, corrupt)
		require.ErrorContains(t, err, "the object is in an archive tier: ")
		setup, ok := errors.AsType[*s3store.SetupError](err)
		require.True(t, ok)
		require.Contains(t, setup.Hint, "aws s3api restore-object")
	}
	elsewhere := reply{status: 403, header: bare(nil), body: "<html>InvalidObjectState</html>"}
	_, err := open(t, always(elsewhere)).Get(t.Context(), c.Ref, nil)
	require.Error(t, err)
	require.NotErrorIs(t, err, changeset.ErrArchived)
	for _, code := range []string{"AccessDenied", "NoSuchKey"} {
		_, err := open(t, always(reply{status: 403, code: code})).Get(t.Context(), c.Ref, nil)
		require.NotErrorIs(t, err, changeset.ErrArchived)
	}
}
