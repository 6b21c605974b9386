package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestSwapTellsWhatIsKnown(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   string
	}{
		{400, "ConditionalCheckFailedException", gone},
		{400, "ProvisionedThroughputExceededException", later},
		{400, "ReplicatedWriteConflictException", later},
		{400, "RequestLimitExceeded", later},
		{400, "ThrottlingException", later},
		{400, "TransactionConflictException", later},
		{400, "AccessDeniedException", never},
		{400, "ExpiredTokenException", never},
		{400, "IncompleteSignatureException", never},
		{403, "InvalidSignatureException", never},
		{400, "ItemCollectionSizeLimitExceededException", never},
		{403, "MissingAuthenticationTokenException", never},
		{400, "ResourceNotFoundException", never},
		{400, "SerializationException", never},
		{400, "UnrecognizedClientException", never},
		{400, "ValidationException", never},

		{400, "AnUnheardOfCode", unknown},
		{400, "RequestTimeoutException", unknown},
		{408, "RequestTimeout", unknown},
		{413, "", unknown},
		{500, "InternalServerError", unknown},
		{503, "ServiceUnavailable", unknown},
		{503, "ThrottlingException", unknown},
		{500, "AccessDeniedException", unknown},
		{502, "", unknown},
		{504, "", unknown},
	}
	old := build(t)
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status, " ", test.code), func(t *testing.T) {
			server := always(reply{status: test.status, code: test.code})
			_, err := open(t, server).Swap(t.Context(), old, link.Fence(old))
			require.Equal(t, test.want, kindOf(err), "%v", err)
			require.Equal(t, []string{"UpdateItem"}, server.operations, "a swap is one attempt")
		})
	}
}

func TestSwapLosesItsReply(t *testing.T) {
	old := build(t)
	for name, failure := range map[string]error{
		"cut":     &net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
		"timeout": context.DeadlineExceeded,
		"other":   errors.New("something else"),
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := open(t, doFunc(func(*http.Request) (*http.Response, error) { n++; return nil, failure }))
			_, err := s.Swap(t.Context(), old, link.Fence(old))
			require.Equal(t, unknown, kindOf(err))
			require.ErrorIs(t, err, failure)
			require.Equal(t, 1, n)
		})
	}
}

func TestSwapThatIsAnsweredByNonsense(t *testing.T) {
	old := build(t)
	_, err := open(t, always(reply{status: 200, body: "<html>"})).Swap(t.Context(), old, link.Fence(old))
	require.Equal(t, unknown, kindOf(err))
	require.Error(t, err)
}

func TestSwapThatIsNeverSent(t *testing.T) {
	old := build(t)
	t.Run("no connection", func(t *testing.T) {
		dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		s := open(t, doFunc(func(*http.Request) (*http.Response, error) { return nil, dial }))
		_, err := s.Swap(t.Context(), old, link.Fence(old))
		require.Equal(t, later, kindOf(err))
		requireSetup(t, err, "DynamoDB cannot be reached")
	})
	t.Run("no credentials", func(t *testing.T) {
		server := always(reply{status: 200, body: "{}"})
		_, err := open(t, server, withoutCredentials).Swap(t.Context(), old, link.Fence(old))
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "no request could be made to DynamoDB")
		require.Empty(t, server.operations)
	})
	t.Run("context ended", func(t *testing.T) {
		server := always(reply{status: 200, body: "{}"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := open(t, server).Swap(ctx, old, link.Fence(old))
		require.Equal(t, never, kindOf(err))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, server.operations)
	})
}

func TestSwapEndedOnItsWay(t *testing.T) {
	old := build(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, doFunc(func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, r.Context().Err()
	}))
	_, err := s.Swap(ctx, old, link.Fence(old))
	require.Equal(t, unknown, kindOf(err))
	require.ErrorIs(t, err, context.Canceled)
}

// item returns the item of a head that is created, with more attributes, as
// DynamoDB would send it.
func item(t testing.TB, h head.Head, more string) string {
	t.Helper()
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server).Swap(t.Context(), head.Head{}, h)
	require.NoError(t, err)
	stored, err := json.Marshal(written(t, server.bodies[0]))
	require.NoError(t, err)
	return string(stored[:len(stored)-1]) + more + "}"
}

// written returns the attributes that an UpdateItem sets, and its key.
func written(t testing.TB, update map[string]any) map[string]any {
	t.Helper()
	attributes := maps.Clone(update["Key"].(map[string]any))
	names, values := update["ExpressionAttributeNames"].(map[string]any), update["ExpressionAttributeValues"].(map[string]any)
	assignments, ok := strings.CutPrefix(update["UpdateExpression"].(string), "SET ")
	require.True(t, ok)
	for assignment := range strings.SplitSeq(assignments, ", ") {
		name, value, ok := strings.Cut(assignment, " = ")
		require.True(t, ok)
		attributes[names[name].(string)] = values[value]
	}
	return attributes
}

func TestSwapNamesTheWinner(t *testing.T) {
	winner := build(t)
	lost := func(old head.Head, item string) error {
		server := always(reply{status: 400, code: "ConditionalCheckFailedException", body: item})
		_, err := open(t, server).Swap(t.Context(), old, link.Fence(winner))
		return err
	}
	err := lost(winner, `,"Item":`+item(t, winner, ""))
	var c *head.ConflictError
	require.ErrorAs(t, err, &c)
	require.True(t, c.Winner.SameRecord(winner))

	require.Equal(t, gone, kindOf(lost(winner, "")))
	require.Equal(t, untold, kindOf(lost(winner, `,"Item":{"aggregate-id":{"S":"p/order-1"}}`)), "it does not decode")

	server := always(reply{status: 400, code: "ConditionalCheckFailedException"})
	_, err = open(t, server).Swap(t.Context(), head.Head{}, winner)
	require.Equal(t, untold, kindOf(err), "there must have been an item")
}

func TestSwapSendsItsCondition(t *testing.T) {
	first := build(t)
	server := always(reply{status: 200, body: "{}"})
	s := open(t, server)
	created, err := s.Swap(t.Context(), head.Head{}, first)
	require.NoError(t, err)
	_, err = s.Swap(t.Context(), created, link.Fence(created))
	require.NoError(t, err)

	require.Equal(t, []string{"UpdateItem", "UpdateItem"}, server.operations)
	create, replace := server.bodies[0], server.bodies[1]
	require.Equal(t, "attribute_not_exists(#aggregate_id)", create["ConditionExpression"])
	require.Equal(t, "ALL_OLD", create["ReturnValuesOnConditionCheckFailure"])
	require.Equal(t, "#revision = :old_revision AND #aggregate_version = :old_aggregate_version AND "+
		"#changeset_id = :old_changeset_id AND #digest = :old_digest AND #min_writer <= :own_min_writer", replace["ConditionExpression"])
	names, values := replace["ExpressionAttributeNames"].(map[string]any), replace["ExpressionAttributeValues"].(map[string]any)
	require.Equal(t, "changeset-id", names["#changeset_id"])
	require.Equal(t, map[string]any{"N": "1"}, values[":old_revision"])
	require.Equal(t, map[string]any{"N": "2"}, values[":own_min_writer"])
	require.Equal(t, map[string]any{"N": "2"}, written(t, replace)["revision"])
	require.Equal(t, map[string]any{"S": "p/order-1"}, written(t, replace)["aggregate-id"])
}

// TestSwapLeavesAloneWhatItDoesNotKnow: the format numbers too, of a head that
// was rebuilt from a changeset.
func TestSwapLeavesAloneWhatItDoesNotKnow(t *testing.T) {
	first := build(t)
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server).Swap(t.Context(), first, link.Fence(first))
	require.NoError(t, err)
	require.Equal(t, []string{"UpdateItem"}, server.operations, "nothing is read before")
	set := written(t, server.bodies[0])
	for _, name := range []string{"format", "min-reader", "min-writer"} {
		require.NotContains(t, set, name)
	}

	newer := first
	newer.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 1}
	known := first
	known.Formats = head.Formats{Written: 2, MinReader: 1, MinWriter: 1}
	next := link.Fence(known)
	next.Formats = newer.Formats
	_, err = open(t, server).Swap(t.Context(), known, next)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"N": "3"}, written(t, server.bodies[1])["format"])
}

// TestSwapOfAnItemForNewerVersions: the item is the expected one, but only newer
// versions may replace it, which the expected head does not know.
func TestSwapOfAnItemForNewerVersions(t *testing.T) {
	first := build(t)
	newer := strings.NewReplacer(`"min-writer":{"N":"1"}`, `"min-writer":{"N":"3"}`, `"format":{"N":"1"}`, `"format":{"N":"3"}`).Replace(item(t, first, ""))
	server := always(reply{status: 400, code: "ConditionalCheckFailedException", body: `,"Item":` + newer})
	_, err := open(t, server).Swap(t.Context(), first, link.Fence(first))
	require.Equal(t, never, kindOf(err))
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}

func TestLoadIsConsistentAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := build(t)
		throttled := reply{status: 400, code: "ProvisionedThroughputExceededException"}
		server := oneAfterAnother(throttled, throttled, throttled, throttled, throttled, reply{status: 200, body: `{"Item":` + item(t, stored, "") + `}`})
		loaded, err := open(t, server).Load(t.Context(), "order-1")
		require.NoError(t, err)
		require.Equal(t, stored.WithToken(""), loaded.WithToken(""))
		require.Equal(t, true, server.bodies[5]["ConsistentRead"])

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = open(t, always(throttled)).Load(ctx, "order-1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func withoutCredentials(o *dynamodb.Options) {
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no credentials were found")
	})
}
