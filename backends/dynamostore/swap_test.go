package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/head"
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
			_, err := open(t, server).Swap(t.Context(), old, old.Fence())
			require.Equal(t, test.want, kindOf(err), "%v", err)
			require.Equal(t, []string{"PutItem"}, server.operations, "a swap is one attempt")
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
			_, err := s.Swap(t.Context(), old, old.Fence())
			require.Equal(t, unknown, kindOf(err))
			require.ErrorIs(t, err, failure)
			require.Equal(t, 1, n)
		})
	}
}

func TestSwapThatIsAnsweredByNonsense(t *testing.T) {
	old := build(t)
	_, err := open(t, always(reply{status: 200, body: "<html>"})).Swap(t.Context(), old, old.Fence())
	require.Equal(t, unknown, kindOf(err))
	require.Error(t, err)
}

func TestSwapThatIsNeverSent(t *testing.T) {
	old := build(t)
	t.Run("no connection", func(t *testing.T) {
		dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		s := open(t, doFunc(func(*http.Request) (*http.Response, error) { return nil, dial }))
		_, err := s.Swap(t.Context(), old, old.Fence())
		require.Equal(t, later, kindOf(err))
		requireSetup(t, err, "DynamoDB cannot be reached")
	})
	t.Run("no credentials", func(t *testing.T) {
		server := always(reply{status: 200, body: "{}"})
		_, err := open(t, server, withoutCredentials).Swap(t.Context(), old, old.Fence())
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "no request could be made to DynamoDB")
		require.Empty(t, server.operations)
	})
	t.Run("context ended", func(t *testing.T) {
		server := always(reply{status: 200, body: "{}"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := open(t, server).Swap(ctx, old, old.Fence())
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
	_, err := s.Swap(ctx, old, old.Fence())
	require.Equal(t, unknown, kindOf(err))
	require.ErrorIs(t, err, context.Canceled)
}

// item returns the item that a swap puts, with more attributes, as DynamoDB
// would send it.
func item(t testing.TB, old, next head.Head, more string) string {
	t.Helper()
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server).Swap(t.Context(), old, next)
	require.NoError(t, err)
	put, err := json.Marshal(server.bodies[0]["Item"])
	require.NoError(t, err)
	return string(put[:len(put)-1]) + more + "}"
}

func TestSwapNamesTheWinner(t *testing.T) {
	winner := build(t)
	lost := func(old head.Head, item string) error {
		server := always(reply{status: 400, code: "ConditionalCheckFailedException", body: item})
		_, err := open(t, server).Swap(t.Context(), old, winner.Fence())
		return err
	}
	err := lost(winner, `,"Item":`+item(t, head.Head{}, winner, ""))
	var c *head.SwapConflict
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
	_, err = s.Swap(t.Context(), created, created.Fence())
	require.NoError(t, err)

	require.Equal(t, []string{"PutItem", "PutItem"}, server.operations)
	create, replace := server.bodies[0], server.bodies[1]
	require.Equal(t, "attribute_not_exists(#id)", create["ConditionExpression"])
	require.Equal(t, "ALL_OLD", create["ReturnValuesOnConditionCheckFailure"])
	require.Equal(t, "#r = :r AND #v = :v AND #c = :c AND #d = :d", replace["ConditionExpression"])
	require.Equal(t, map[string]any{"#r": "revision", "#v": "aggregate-version", "#c": "changeset-id", "#d": "digest"}, replace["ExpressionAttributeNames"])
	require.Equal(t, map[string]any{"N": "1"}, replace["ExpressionAttributeValues"].(map[string]any)[":r"])
	require.Equal(t, map[string]any{"N": "2"}, replace["Item"].(map[string]any)["revision"])
	require.Equal(t, map[string]any{"S": "p/order-1"}, replace["Item"].(map[string]any)["aggregate-id"])
}

// TestSwapWithoutToken: the item is read for what only it knows.
func TestSwapWithoutToken(t *testing.T) {
	first := build(t).WithToken("")
	found := reply{status: 200, body: `{"Item":` + item(t, head.Head{}, first, `,"zone":{"M":{"names":{"SS":["b","a"]},"b":{"B":""}}}`) + `}`}

	server := oneAfterAnother(found, reply{status: 200, body: "{}"})
	_, err := open(t, server).Swap(t.Context(), first, first.Fence())
	require.NoError(t, err)
	require.Equal(t, []string{"GetItem", "PutItem"}, server.operations)
	require.Equal(t, map[string]any{"M": map[string]any{"names": map[string]any{"SS": []any{"a", "b"}}, "b": map[string]any{"B": ""}}},
		server.bodies[1]["Item"].(map[string]any)["zone"])

	server = always(found)
	fenced := first.Fence()
	_, err = open(t, server).Swap(t.Context(), fenced, fenced.Fence())
	require.Equal(t, conflict, kindOf(err))
	require.Equal(t, []string{"GetItem"}, server.operations)
}

func TestLoadIsConsistentAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := build(t)
		throttled := reply{status: 400, code: "ProvisionedThroughputExceededException"}
		server := oneAfterAnother(throttled, throttled, throttled, throttled, throttled, reply{status: 200, body: `{"Item":` + item(t, head.Head{}, stored, "") + `}`})
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
