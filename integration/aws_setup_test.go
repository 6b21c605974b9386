//go:build integration

package integration_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/head"
)

// TestAWSProvision races, as many processes that start at once would, and
// repeats what is done already.
func TestAWSProvision(t *testing.T) {
	a := newLocalStack(t)
	a.config.Region = "eu-west-1"
	objects, err := s3store.New(a.s3(), a.bucket, &s3store.Options{Versioning: true})
	require.NoError(t, err)
	heads, err := dynamostore.New(a.dynamodb(), a.table, &dynamostore.Options{Recovery: true})
	require.NoError(t, err)

	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = errors.Join(objects.Provision(t.Context()), heads.Provision(t.Context()))
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}

	found, err := objects.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bucket " + a.bucket + " ok", "conditional writes ok", "no expiry rule", "public access blocked", "versioning on"}, awsLines(t, found))
	found, err = heads.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"table " + a.table + " ok", "conditional writes ok", "several aggregates in one commit ok", "no TTL", "no replicas", "billing on demand", "stream on, NEW_IMAGE", "point-in-time recovery on"}, awsLines(t, found))
	requireUntouched(t, a)

	location, err := a.s3().GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &a.bucket})
	require.NoError(t, err)
	require.EqualValues(t, "eu-west-1", location.LocationConstraint)
	encryption, err := a.s3().GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &a.bucket})
	require.NoError(t, err)
	require.NotEmpty(t, encryption.ServerSideEncryptionConfiguration.Rules)
}

// awsLines returns the findings' lines, all of which must be in order.
func awsLines(t testing.TB, findings []s3store.Finding) []string {
	t.Helper()
	var lines []string
	for _, f := range findings {
		require.True(t, f.OK, f)
		lines = append(lines, f.String())
	}
	return lines
}

// requireUntouched demands that a check has left no traces.
func requireUntouched(t testing.TB, a *awsAccount) {
	t.Helper()
	list, err := a.s3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &a.bucket})
	require.NoError(t, err)
	require.Empty(t, list.Contents)
	scan, err := a.dynamodb().Scan(t.Context(), &dynamodb.ScanInput{TableName: &a.table})
	require.NoError(t, err)
	require.Empty(t, scan.Items)
}

// TestOtherS3Check: what an S3-compatible server does not offer is no failure.
func TestOtherS3Check(t *testing.T) {
	a := newOtherS3(t).provisionedBucket(t).provisionedBucket(t)
	found, err := a.objects(t).Check(t.Context())
	require.NoError(t, err)
	lines := strings.Join(awsLines(t, found), ", ")
	require.Contains(t, lines, "conditional writes ok")
	t.Log(lines)
}

func TestAWSCheckFindsWhatIsDangerous(t *testing.T) {
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	_, err := a.s3().PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &a.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("clean up"), Status: types.ExpirationStatusEnabled,
			Filter: &types.LifecycleRuleFilter{Prefix: aws.String("team a/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)},
		}}},
	})
	require.NoError(t, err)
	found, err := a.objects(t).Check(t.Context())
	require.NoError(t, err)
	requireFinding(t, found, "no expiry rule", `rule "clean up" deletes objects of this store`)

	_, err = a.dynamodb().UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName:               &a.table,
		TimeToLiveSpecification: &dynamotypes.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(true)},
	})
	require.NoError(t, err)
	found, err = a.heads(t).Check(t.Context())
	require.NoError(t, err)
	requireFinding(t, found, "no TTL", `"expires"`)
}

// requireFinding demands that one finding, and no other, is not in order.
func requireFinding(t testing.TB, findings []s3store.Finding, name, detail string) {
	t.Helper()
	for _, f := range findings {
		require.Equal(t, f.Name != name, f.OK, f)
		if f.Name == name {
			require.Contains(t, f.Detail, detail)
			require.NotEmpty(t, f.Hint)
		}
	}
}

func TestAWSMissing(t *testing.T) {
	a := newLocalStack(t)
	objects, heads := a.objects(t), a.heads(t)
	c, first := newAWSAppend(t, head.Head{})
	_, get := objects.Get(t.Context(), c.Ref, nil)
	_, stat := objects.Stat(t.Context(), c.Ref)
	_, swap := objects.Swap(t.Context(), head.Head{}, first)
	_, load := heads.Load(t.Context(), first.AggregateID)
	_, swap2 := heads.Swap(t.Context(), head.Head{}, first)
	for _, err := range []error{objects.Put(t.Context(), c), get, stat, swap, load, swap2} {
		var setup *s3store.SetupError
		require.ErrorAs(t, err, &setup)
		require.Contains(t, setup.What, "does not exist")
		require.Contains(t, setup.Hint, "ropewalk init")
	}
	for _, err := range []error{swap, swap2} {
		var refused *head.NotAppliedError
		require.ErrorAs(t, err, &refused)
		require.False(t, refused.Retryable)
	}

	inBucket, err := objects.Check(t.Context())
	require.NoError(t, err)
	inTable, err := heads.Check(t.Context())
	require.NoError(t, err)
	for _, found := range [][]s3store.Finding{inBucket, inTable} {
		require.Len(t, found, 1)
		require.False(t, found[0].OK)
		require.Equal(t, "does not exist", found[0].Detail)
	}
}

// TestDynamoDBWrongKey: a table made for another purpose is not taken.
func TestDynamoDBWrongKey(t *testing.T) {
	a := newLocalStack(t)
	_, err := a.dynamodb().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &a.table, BillingMode: dynamotypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamotypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
		KeySchema:            []dynamotypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
	})
	require.NoError(t, err)
	var setup *dynamostore.SetupError
	require.ErrorAs(t, a.heads(t).Provision(t.Context()), &setup)
	require.Contains(t, setup.What, "its key is not aggregate-id")
	found, err := a.heads(t).Check(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.False(t, found[0].OK)
}
