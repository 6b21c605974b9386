//go:build integration

package integration_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
)

// awsAccount is an endpoint, and the names of a bucket and a table there that
// no other test uses.
type awsAccount struct {
	config                          aws.Config
	endpoint, bucket, table, prefix string
}

// realAccount in place of an emulator's URL points the tests at AWS itself,
// with the credentials and the region that the SDK finds on its own.
const realAccount = "aws"

// newLocalStack returns a fresh bucket and table, not provisioned yet, at the
// emulator of S3 and DynamoDB, or in a real account.
func newLocalStack(t testing.TB) *awsAccount {
	t.Helper()
	return newAWS(t, "ROPEWALK_TEST_LOCALSTACK", "test", "test")
}

// newOtherS3 is newLocalStack for an S3-compatible server that is not
// LocalStack. It has no tables.
func newOtherS3(t testing.TB) *awsAccount {
	t.Helper()
	return newAWS(t, "ROPEWALK_TEST_S3", os.Getenv("ROPEWALK_TEST_S3_ACCESS_KEY"), os.Getenv("ROPEWALK_TEST_S3_SECRET_KEY"))
}

func newAWS(t testing.TB, variable, key, secret string) *awsAccount {
	t.Helper()
	endpoint := os.Getenv(variable)
	if endpoint == "" {
		t.Fatalf("%s is not set: it must hold the URL of an emulator, or %q for a real account; make test starts one and sets it", variable, realAccount)
	}
	options := []func(*config.LoadOptions) error{config.WithRetryer(quickRetryer)}
	if endpoint != realAccount {
		options = append(options, config.WithRegion("us-east-1"),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(key, secret, "")),
			config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), options...)
	require.NoError(t, err)
	name := "ropewalk-test-" + uuid.NewString()
	a := &awsAccount{cfg, endpoint, name, name, "team a/blue/"}
	t.Cleanup(func() { a.remove(t) })
	return a
}

// quickRetryer is the SDK's default, except for the length of its waits.
func quickRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 20 * time.Millisecond })
}

// with returns the account over another HTTP transport.
func (a *awsAccount) with(transport http.RoundTripper) *awsAccount {
	b := *a
	b.config.HTTPClient = &http.Client{Transport: transport}
	return &b
}

// base returns the endpoint for a client, nil for AWS itself.
func (a *awsAccount) base() *string {
	if a.endpoint == realAccount {
		return nil
	}
	return &a.endpoint
}

// needsEmulator skips a test that puts a proxy in front of the endpoint.
func (a *awsAccount) needsEmulator(t testing.TB) {
	if a.endpoint == realAccount {
		t.Skip("a proxy of connections cannot stand in front of AWS itself")
	}
}

func (a *awsAccount) s3(options ...func(*s3.Options)) *s3.Client {
	reach := func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = a.base(), true }
	return s3.NewFromConfig(a.config, append(options, reach)...)
}

func (a *awsAccount) dynamodb(options ...func(*dynamodb.Options)) *dynamodb.Client {
	reach := func(o *dynamodb.Options) { o.BaseEndpoint = a.base() }
	return dynamodb.NewFromConfig(a.config, append(options, reach)...)
}

func (a *awsAccount) objects(t testing.TB, options ...func(*s3.Options)) *s3store.Store {
	t.Helper()
	s, err := s3store.New(a.s3(options...), a.bucket, &s3store.Options{Prefix: a.prefix})
	require.NoError(t, err)
	return s
}

func (a *awsAccount) heads(t testing.TB, options ...func(*dynamodb.Options)) *dynamostore.Store {
	t.Helper()
	s, err := dynamostore.New(a.dynamodb(options...), a.table, &dynamostore.Options{Prefix: a.prefix})
	require.NoError(t, err)
	return s
}

// provisionedBucket returns the account with its bucket in place.
func (a *awsAccount) provisionedBucket(t testing.TB) *awsAccount {
	t.Helper()
	require.NoError(t, a.objects(t).Provision(t.Context()))
	return a
}

// provisionedTable returns the account with its table in place.
func (a *awsAccount) provisionedTable(t testing.TB) *awsAccount {
	t.Helper()
	require.NoError(t, a.heads(t).Provision(t.Context()))
	return a
}

// remove removes what the test has made, as far as it has.
func (a *awsAccount) remove(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := a.s3()
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &a.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			break
		}
		var all []types.ObjectIdentifier
		for _, o := range page.Versions {
			all = append(all, types.ObjectIdentifier{Key: o.Key, VersionId: o.VersionId})
		}
		for _, o := range page.DeleteMarkers {
			all = append(all, types.ObjectIdentifier{Key: o.Key, VersionId: o.VersionId})
		}
		_, _ = client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &a.bucket, Delete: &types.Delete{Objects: all}})
	}
	if _, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &a.bucket}); err != nil && !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Logf("bucket %s is not removed: %v", a.bucket, err)
	}
	if os.Getenv("ROPEWALK_TEST_S3") != a.endpoint {
		_, _ = a.dynamodb().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &a.table})
	}
}
