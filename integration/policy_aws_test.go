//go:build integration

package integration_test

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/head"
	"ropewalk/internal/policy"
)

// Every role's policy holds what the role's work needs, and nothing else.
func TestAWSPoliciesAreExact(t *testing.T) {
	t.Run("heads in DynamoDB", func(t *testing.T) {
		testAWSPolicies(t, newLocalStack(t), true)
	})
	t.Run("heads in S3", func(t *testing.T) {
		testAWSPolicies(t, newLocalStack(t), false)
	})
}

func testAWSPolicies(t *testing.T, a *awsAccount, withTable bool) {
	granted := policy.AWS{Bucket: policy.BucketARN("", a.bucket), Prefix: a.prefix}
	if withTable {
		granted.Table = policy.TableARN("us-east-1", "000000000000", a.table)
	}
	seen := map[policy.Role]*iamRecorder{}
	as := map[policy.Role]roleStore{}
	for _, r := range policy.AWSRoles {
		seen[r] = &iamRecorder{t: t, aws: granted}
		as[r] = a.asRole(t, seen[r])
	}
	as[policy.Maintainer].setUp(t)
	if withTable {
		a.setStream(t, false)
		as[policy.Maintainer].setUp(t) // as for a table of an earlier version
	}
	pending := as[policy.Writer].write(t)
	as[policy.Reader].read(t)
	as[policy.Maintainer].maintain(t, pending)
	as[policy.Maintainer].rebuildFirst(t, as[policy.Writer].putFirst(t))
	as[policy.Relay].relay(t)
	as[policy.Subscriber].subscribe(t)
	for _, r := range policy.AWSRoles {
		t.Run(string(r), func(t *testing.T) { seen[r].requireExact(t, granted.Policy(r)) })
	}
}

// asRole returns the store whose requests the recorder sees.
func (a *awsAccount) asRole(t *testing.T, seen *iamRecorder) roleStore {
	t.Helper()
	b := *a
	b.config.APIOptions = append(slices.Clone(a.config.APIOptions), seen.watch)
	objects, err := s3store.New(b.s3(), b.bucket, &s3store.Options{Prefix: b.prefix, Versioning: true})
	require.NoError(t, err)
	s := roleStore{objects: objects, heads: objects, parts: []rolePart{objects}}
	if seen.aws.Table != "" {
		heads, err := dynamostore.New(b.dynamodb(), b.table, &dynamostore.Options{Prefix: b.prefix, Recovery: true})
		require.NoError(t, err)
		s.heads, s.parts, s.toScan = heads, append(s.parts, heads), true
	}
	return s
}

// iamActions are the actions that IAM knows the operations by.
var iamActions = map[string]string{
	"S3.GetObject":                       "s3:GetObject",
	"S3.HeadObject":                      "s3:GetObject",
	"S3.PutObject":                       "s3:PutObject",
	"S3.DeleteObject":                    "s3:DeleteObject",
	"S3.ListObjectsV2":                   "s3:ListBucket",
	"S3.CreateBucket":                    "s3:CreateBucket",
	"S3.GetPublicAccessBlock":            "s3:GetBucketPublicAccessBlock",
	"S3.PutPublicAccessBlock":            "s3:PutBucketPublicAccessBlock",
	"S3.GetBucketEncryption":             "s3:GetEncryptionConfiguration",
	"S3.PutBucketEncryption":             "s3:PutEncryptionConfiguration",
	"S3.GetBucketVersioning":             "s3:GetBucketVersioning",
	"S3.PutBucketVersioning":             "s3:PutBucketVersioning",
	"S3.GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
	"DynamoDB.GetItem":                   "dynamodb:GetItem",
	"DynamoDB.UpdateItem":                "dynamodb:UpdateItem",
	"DynamoDB.DeleteItem":                "dynamodb:DeleteItem",
	"DynamoDB.Scan":                      "dynamodb:Scan",
	"DynamoDB.CreateTable":               "dynamodb:CreateTable",
	"DynamoDB.DescribeTable":             "dynamodb:DescribeTable",
	"DynamoDB.UpdateTable":               "dynamodb:UpdateTable",
	"DynamoDB Streams.DescribeStream":    "dynamodb:DescribeStream",
	"DynamoDB Streams.GetShardIterator":  "dynamodb:GetShardIterator",
	"DynamoDB Streams.GetRecords":        "dynamodb:GetRecords",
	"DynamoDB.DescribeTimeToLive":        "dynamodb:DescribeTimeToLive",
	"DynamoDB.DescribeContinuousBackups": "dynamodb:DescribeContinuousBackups",
	"DynamoDB.UpdateContinuousBackups":   "dynamodb:UpdateContinuousBackups",
}

// iamRequest is what IAM is asked about one request. The keys are the keys of
// the request's context that our policies test.
type iamRequest struct {
	action, resource string
	keys             map[string]string
}

// iamRecorder notes what IAM would be asked about all that a client does.
type iamRecorder struct {
	t   *testing.T
	aws policy.AWS

	mu       sync.Mutex
	requests []iamRequest
}

// watch is an API option of the SDK's clients.
func (r *iamRecorder) watch(stack *middleware.Stack) error {
	note := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleInitialize(ctx, in)
		r.note(awsmiddleware.GetServiceID(ctx)+"."+awsmiddleware.GetOperationName(ctx), in.Parameters, err)
		return out, metadata, err
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("test:iam", note), middleware.After)
}

func (r *iamRecorder) note(operation string, in any, err error) {
	if step, ok := in.(*dynamodb.TransactWriteItemsInput); ok {
		r.noteStep(step)
		return
	}
	action, known := iamActions[operation]
	if !known {
		r.t.Errorf("no IAM action is known for %s", operation)
	}
	request := iamRequest{action: action, resource: r.aws.Bucket, keys: map[string]string{}}
	if strings.HasPrefix(operation, "DynamoDB.") {
		request.resource = r.aws.Table
	}
	if strings.HasPrefix(operation, "DynamoDB Streams.") {
		request.resource = r.aws.Table + "/stream/2026-11-28T10:00:00.000"
	} else if key := request.describe(in); key != "" {
		request.resource += "/" + key
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
	if action == "s3:GetObject" && isMissing(err) { // S3 would deny access without that right
		r.requests = append(r.requests, iamRequest{action: "s3:ListBucket", resource: r.aws.Bucket})
	}
	if _, replaces := request.keys["s3:if-match"]; replaces { // S3 looks at the ETag on behalf of who asks
		r.requests = append(r.requests, iamRequest{action: "s3:GetObject", resource: request.resource})
	}
}

// noteStep notes a transaction: IAM is asked about each of its members.
func (r *iamRecorder) noteStep(in *dynamodb.TransactWriteItemsInput) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, item := range in.TransactItems {
		q := iamRequest{action: "dynamodb:ConditionCheckItem", resource: r.aws.Table, keys: map[string]string{}}
		if item.ConditionCheck != nil {
			q.keys["dynamodb:LeadingKeys"] = item.ConditionCheck.Key[head.FieldAggregateID].(*dynamotypes.AttributeValueMemberS).Value
		} else {
			q.action = "dynamodb:UpdateItem"
			q.keys["dynamodb:LeadingKeys"] = item.Update.Key[head.FieldAggregateID].(*dynamotypes.AttributeValueMemberS).Value
		}
		r.requests = append(r.requests, q)
	}
}

func isMissing(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NotFound")
}

// describe notes the conditions of a put and the key of an item, and returns
// the key of an object.
func (q iamRequest) describe(in any) (object string) {
	item := func(key map[string]dynamotypes.AttributeValue) {
		q.keys["dynamodb:LeadingKeys"] = key[head.FieldAggregateID].(*dynamotypes.AttributeValueMemberS).Value
	}
	switch in := in.(type) {
	case *s3.PutObjectInput:
		for name, value := range map[string]*string{"s3:if-match": in.IfMatch, "s3:if-none-match": in.IfNoneMatch} {
			if value != nil {
				q.keys[name] = *value
			}
		}
		return *in.Key
	case *s3.GetObjectInput:
		return *in.Key
	case *s3.HeadObjectInput:
		return *in.Key
	case *s3.DeleteObjectInput:
		return *in.Key
	case *dynamodb.GetItemInput:
		item(in.Key)
	case *dynamodb.UpdateItemInput:
		item(in.Key)
	case *dynamodb.DeleteItemInput:
		item(in.Key)
	}
	return ""
}

// requireExact checks that the policy allows every request, and that some
// request needs each action on each resource of each of its statements.
func (r *iamRecorder) requireExact(t *testing.T, p policy.IAM) {
	granted, needed := map[string]bool{}, map[string]bool{}
	for _, s := range p.Statement {
		for _, action := range s.Action {
			for _, resource := range s.Resource {
				granted[s.Sid+": "+action+" on "+resource] = true
			}
		}
	}
	require.NotEmpty(t, r.requests)
	for _, q := range r.requests {
		allowed := q.allowedBy(t, p)
		require.NotEmpty(t, allowed, "no statement allows %s on %s with %v", q.action, q.resource, q.keys)
		for _, grant := range allowed {
			needed[grant] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(needed)), slices.Sorted(maps.Keys(granted)), "what is needed, and what is granted")
}

// allowedBy returns what of the policy allows the request.
func (q iamRequest) allowedBy(t *testing.T, p policy.IAM) (grants []string) {
	for _, s := range p.Statement {
		require.Equal(t, "Allow", s.Effect)
		for _, resource := range s.Resource {
			if slices.Contains(s.Action, q.action) && iamMatches(resource, q.resource) && q.meets(t, s.Condition) {
				grants = append(grants, s.Sid+": "+q.action+" on "+resource)
			}
		}
	}
	return grants
}

// meets reports whether the request's context meets all conditions.
func (q iamRequest) meets(t *testing.T, conditions map[string]map[string]string) bool {
	for operator, keys := range conditions {
		for key, want := range keys {
			value, there := q.keys[key]
			switch operator {
			case "Null":
				if there == (want == "true") {
					return false
				}
			case "ForAllValues:StringLike":
				if there && !iamMatches(want, value) {
					return false
				}
			default:
				t.Fatalf("the operator %s is not known here", operator)
			}
		}
	}
	return true
}

// iamMatches reports whether a text matches a pattern of IAM, where * and ?
// are wildcards, and ${*}, ${?} and ${$} are not.
func iamMatches(pattern, text string) bool {
	expression := strings.NewReplacer(`\$\{\*\}`, `\*`, `\$\{\?\}`, `\?`, `\$\{\$\}`, `\$`, `\*`, `.*`, `\?`, `.`).
		Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`(?s)\A` + expression + `\z`).MatchString(text)
}
