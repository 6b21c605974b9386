//go:build integration

package integration_test

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// awsSetUps are the ways to combine the backends: where the heads are, and
// with which requests they are loaded and swapped.
var awsSetUps = map[string]struct {
	account    func(testing.TB) *awsAccount
	heads      func(testing.TB, *awsAccount) head.Store
	load, swap string
}{
	"S3 and DynamoDB": {
		func(t testing.TB) *awsAccount { return newLocalStack(t).provisionedBucket(t).provisionedTable(t) },
		func(t testing.TB, a *awsAccount) head.Store { return a.heads(t) }, "GetItem", "UpdateItem",
	},
	"S3": {
		func(t testing.TB) *awsAccount { return newLocalStack(t).provisionedBucket(t) },
		func(t testing.TB, a *awsAccount) head.Store { return a.objects(t) }, "GET", "PUT",
	},
	"another S3": {
		func(t testing.TB) *awsAccount { return newOtherS3(t).provisionedBucket(t) },
		func(t testing.TB, a *awsAccount) head.Store { return a.objects(t) }, "GET", "PUT",
	},
}

// TestAWSChainRequests: an append is two requests, and one more for each
// further changeset; a backward read of n changesets is n + 1.
func TestAWSChainRequests(t *testing.T) {
	for name, setUp := range awsSetUps {
		t.Run(name, func(t *testing.T) {
			wire := &awsWire{}
			a := setUp.account(t).with(wire)
			chain := ropewalk.New(a.objects(t), setUp.heads(t, a), nil).Chain("order/1")
			var h head.Head
			for i := range 20 {
				var err error
				h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte(strconv.Itoa(i))})
				require.NoError(t, err)
				require.Equal(t, []string{"PUT", setUp.swap}, wire.sent())
			}
			_, err := chain.Append(t.Context(), h, make([]changeset.Draft, 3)...)
			require.NoError(t, err)
			require.Equal(t, []string{"PUT", "PUT", "PUT", setUp.swap}, wire.sent())

			r, err := chain.Reader(t.Context())
			require.NoError(t, err)
			all, err := ropewalk.Collect(r.Backward(t.Context()))
			require.NoError(t, err)
			require.Len(t, all, 23)
			require.Equal(t, append([]string{setUp.load}, slices.Repeat([]string{"GET"}, 23)...), wire.sent())
		})
	}
}

// TestAWSAppendsSurviveLostReplies: at whichever request a reply is lost, the
// append is committed once, and says so.
func TestAWSAppendsSurviveLostReplies(t *testing.T) {
	for name, setUp := range awsSetUps {
		account := setUp.account(t)
		for loss, lose := range awsLosses {
			for place := range 3 {
				t.Run(fmt.Sprintf("%s %s at %d", name, loss, place+1), func(t *testing.T) {
					t.Parallel()
					wire := &awsWire{skip: place}
					wire.losing(1, lose)
					a := account.with(wire)
					objects := a.objects(t)
					chain := ropewalk.New(objects, setUp.heads(t, a), nil).Chain("lossy-" + uuid.NewString())
					h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("0")})
					require.NoError(t, err)
					h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte("1")})
					require.NoError(t, err)
					require.Zero(t, wire.losses, "no reply was lost")

					all, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
					require.NoError(t, err)
					require.Equal(t, []string{"0", "1"}, awsContents(all))
					stored, err := ropewalk.Collect(objects.Objects(t.Context(), chain.AggregateID()))
					require.NoError(t, err)
					require.Len(t, stored, 2, "nothing is stored twice")
				})
			}
		}
	}
}

func awsContents(changesets []changeset.Changeset) (contents []string) {
	for _, c := range changesets {
		contents = append(contents, string(c.Content))
	}
	return contents
}

// TestAWSIndependentReader: a reader with only the AWS SDK gets the head's item
// and follows the parents, as the posts that began all this do.
func TestAWSIndependentReader(t *testing.T) {
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	objects := a.objects(t)
	chain := ropewalk.New(objects, a.heads(t), nil).Chain("order 1/é")
	var want []string
	var h head.Head
	for _, batch := range [][]string{{"created"}, {"renamed", "moved", ""}, {strings.Repeat("large ", 100_000)}, {"closed"}} {
		var drafts []changeset.Draft
		for _, content := range batch {
			drafts = append(drafts, changeset.Draft{Content: []byte(content)})
		}
		var err error
		h, err = chain.Append(t.Context(), h, drafts...)
		require.NoError(t, err)
		want = append(want, batch...)
	}
	orphan, _ := newAWSAppend(t, h)
	require.NoError(t, objects.Put(t.Context(), orphan))

	got := a.walk(t, "order%201%2F%C3%A9")
	slices.Reverse(got)
	require.Equal(t, want, got)
}

// walk reads the contents of a chain, newest first, and uses nothing but the SDK.
func (a *awsAccount) walk(t *testing.T, aggregate string) (contents []string) {
	item, err := a.dynamodb().GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &a.table, ConsistentRead: aws.Bool(true),
		Key: map[string]dynamotypes.AttributeValue{"aggregate-id": &dynamotypes.AttributeValueMemberS{Value: a.prefix + aggregate}},
	})
	require.NoError(t, err)
	id := item.Item["changeset-id"].(*dynamotypes.AttributeValueMemberS).Value
	version, err := strconv.Atoi(item.Item["aggregate-version"].(*dynamotypes.AttributeValueMemberN).Value)
	require.NoError(t, err)
	for ; id != ""; version-- {
		key := fmt.Sprintf("%schangesets/%s/%020d-%s", a.prefix, aggregate, version, id)
		out, err := a.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &a.bucket, Key: &key})
		require.NoError(t, err)
		content, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		require.NoError(t, out.Body.Close())
		contents = append(contents, string(content))
		id = out.Metadata["parent-changeset-id"]
	}
	return contents
}

// TestS3NamesAreLiteral: names arrive as they are, percent signs and all.
func TestS3NamesAreLiteral(t *testing.T) {
	for name, account := range map[string]*awsAccount{"LocalStack": newLocalStack(t), "another server": newOtherS3(t)} {
		t.Run(name, func(t *testing.T) {
			account.prefix = "100%/%2F+é/"
			s := account.provisionedBucket(t).objects(t)
			var want []string
			for _, id := range []string{"plain", "a/b", "a%2Fb", "..", "dot.", " ", "é", "+", "?x=1#y", `a\b`} {
				cs, next, err := link.Extend(head.Head{}, id, []changeset.Draft{{Content: []byte(id)}}, time.Now())
				require.NoError(t, err)
				require.NoError(t, s.Put(t.Context(), cs[0]))
				_, err = s.Swap(t.Context(), head.Head{}, next)
				require.NoError(t, err)
				want = append(want, account.prefix+cs[0].ObjectName(), account.prefix+"heads/"+changeset.Escape(id))
			}
			require.ElementsMatch(t, want, account.keys(t))
		})
	}
}

// keys returns the keys of all objects in the bucket.
func (a *awsAccount) keys(t *testing.T) (keys []string) {
	pages := s3.NewListObjectsV2Paginator(a.s3(), &s3.ListObjectsV2Input{Bucket: &a.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}
