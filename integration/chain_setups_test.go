//go:build integration

package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// setUp is a place that the command cannot work in.
type setUp struct {
	name        string
	url         string
	environment []string
	says        string // in its error
	hints       string // in its hint
}

// TestCommandBadSetUps: reading or writing, the command fails soon, with a hint
// and the exit code 7, and prints nothing else.
func TestCommandBadSetUps(t *testing.T) {
	c := buildCommand(t)
	all := slices.Concat(missing(t), unreachable(t), refused(t))
	atOnce(t, all, func(s setUp) string { return s.name }, func(t *testing.T, s setUp) {
		environment := append(slices.Clone(s.environment), "ROPEWALK_STORE="+s.url)
		for _, args := range []string{"append order-1 --new", "append order-1 --any", "log order-1", "ls", "verify --all"} {
			r := c.run(t, environment, "content", strings.Fields(args)...)
			requireSetUpFailure(t, args, r)
			require.Contains(t, r.stderr, s.says, args)
			require.Contains(t, r.stderr, "hint: "+s.hints, args)
		}
		r := c.run(t, environment, "", "init", "--check", "--json")
		require.Equal(t, 7, r.exit, r.stderr)
		require.Contains(t, r.stdout, `"exit":7`)
		require.Contains(t, r.stdout, s.hints)
	})
	for _, code := range []string{"AccessDeniedException", "UnrecognizedClientException"} {
		t.Run("DynamoDB "+code, func(t *testing.T) { deniedByDynamoDB(t, c, code) })
	}
}

func requireSetUpFailure(t *testing.T, args string, r result) {
	t.Helper()
	require.Equal(t, 7, r.exit, "%s: %s", args, r.stderr)
	require.Less(t, r.took, 15*time.Second, args)
	require.Empty(t, r.stdout, args)
	require.True(t, strings.HasPrefix(r.stderr, "error: "), r.stderr)
	require.Equal(t, 2, strings.Count(r.stderr, "\n"), "more than an error and a hint: %s", r.stderr)
}

// awsKeys are credentials for servers that accept any.
var awsKeys = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"}

// missing are places in which something does not exist.
func missing(t *testing.T) []setUp {
	none, bucketOnly := awsSite{newLocalStack(t), "aws"}, awsSite{newLocalStack(t).provisionedBucket(t), "aws"}
	noneS3, azure := awsSite{none.awsAccount, "s3"}, azureSite{newAzure(t)}
	const create = "create it"
	return []setUp{
		{"no bucket", noneS3.url(), noneS3.environment(t), "bucket " + none.bucket + " does not exist", create},
		{"no container", azure.url(), azure.environment(t), "the container does not exist", create},
		{"neither bucket nor table", none.url(), none.environment(t), none.bucket + " does not exist", create},
		{"no table", bucketOnly.url(), bucketOnly.environment(t), "table " + bucketOnly.table + " does not exist", create},
	}
}

// unreachable are places that no request gets to.
func unreachable(t *testing.T) []setUp {
	nobody := httptest.NewServer(nil)
	nobody.Close() // its address is now free, and refuses connections
	away := *newLocalStack(t)
	away.endpoint = nobody.URL
	noKeys := []string{"AWS_EC2_METADATA_DISABLED=true"}
	return []setUp{
		{"S3 unreachable", awsSite{&away, "s3"}.url(), awsKeys, "S3 cannot be reached", "check the endpoint"},
		{"AWS unreachable", awsSite{&away, "aws"}.url(), awsKeys, " cannot be reached", "check the endpoint"},
		{"Azure unreachable", "azure:///", azureAt(nobody.URL), "the account cannot be reached", "check the endpoint"},
		{"no AWS credentials", awsSite{&away, "aws"}.url(), noKeys, "no request could be made", "check that credentials"},
		{"no S3 credentials", awsSite{&away, "s3"}.url(), noKeys, "no request could be made", "check that credentials"},
	}
}

// refused are places whose service answers, and refuses every request.
func refused(t *testing.T) []setUp {
	s3 := func(status int, code string, header http.Header) string {
		body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>canned</Message></Error>`, code)
		return "s3://bucket-1/?region=us-east-1&path-style=true&endpoint=" + url.QueryEscape(canned(t, status, header, body))
	}
	azure := func(status int, code string) []string {
		return azureAt(canned(t, status, http.Header{"X-Ms-Error-Code": {code}, "X-Ms-Request-Id": {"1"}, "X-Ms-Version": {"2025-01-05"}}, ""))
	}
	elsewhere := http.Header{"X-Amz-Bucket-Region": {"eu-west-1"}}
	return []setUp{
		{"wrong region", s3(http.StatusMovedPermanently, "PermanentRedirect", elsewhere), awsKeys, `bucket bucket-1 is not in region "us-east-1"`, "configure the client with the bucket's own region, eu-west-1"},
		{"signed for another region", s3(http.StatusBadRequest, "AuthorizationHeaderMalformed", elsewhere), awsKeys, "is not in region", "configure the client"},
		{"denied by S3", s3(http.StatusForbidden, "AccessDenied", nil), awsKeys, "S3 denies access", "check the credentials"},
		{"unknown key", s3(http.StatusForbidden, "InvalidAccessKeyId", nil), awsKeys, "S3 denies access", "check the credentials"},
		{"denied by Azure", "azure:///", azure(http.StatusForbidden, "AuthorizationPermissionMismatch"), "access is denied", "check the credentials"},
		{"wrong account key", "azure:///", azure(http.StatusForbidden, "AuthenticationFailed"), "the credentials are not accepted", "check the account key"},
	}
}

// azureAt returns the environment for an account at an endpoint.
func azureAt(endpoint string) []string {
	return []string{"AZURE_STORAGE_CONNECTION_STRING=DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=c2VjcmV0;BlobEndpoint=" + endpoint + "/acme;"}
}

// canned starts a server that answers everything in the same way.
func canned(t *testing.T, status int, header http.Header, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// deniedByDynamoDB: the table alone denies access.
func deniedByDynamoDB(t *testing.T, c command, code string) {
	endpoint := canned(t, http.StatusBadRequest, http.Header{"X-Amzn-Errortype": {code}, "X-Amzn-Requestid": {"1"}}, "{}")
	store := "aws://bucket-1/?table=table-1&region=us-east-1&path-style=true&endpoint=" + url.QueryEscape(endpoint)
	r := c.run(t, append(slices.Clone(awsKeys), "ROPEWALK_STORE="+store), "", "head", "order-1")
	requireSetUpFailure(t, "head", r)
	require.Contains(t, r.stderr, "DynamoDB denies access")
	require.Contains(t, r.stderr, "hint: check the credentials")
}
