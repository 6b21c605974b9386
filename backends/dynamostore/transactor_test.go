package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// first returns the head of a new chain of an aggregate.
func first(t testing.TB, aggregateID string) head.Head {
	t.Helper()
	_, next, err := link.Extend(head.Head{}, aggregateID, make([]changeset.Draft, 1), time.Unix(1, 0))
	require.NoError(t, err)
	return next
}

// step returns exchanges that replace a head, create a head, and leave a head unchanged.
func step(t testing.TB) []head.Exchange {
	t.Helper()
	old := first(t, "order-1")
	return []head.Exchange{
		{AggregateID: "order-1", Old: old, Next: link.Fence(old)},
		{AggregateID: "order-2", Next: first(t, "order-2")},
		{AggregateID: "order-3", Old: first(t, "order-3")},
	}
}

// stored returns a member of a reason: the item of a head.
func stored(t testing.TB, h head.Head) string {
	t.Helper()
	return `,"Item":` + strings.ReplaceAll(item(t, h, ""), "p/order-1", "p/"+h.AggregateID)
}

// canceled is the reply of DynamoDB to a transaction that it has canceled. A reason is a
// code, or the text of an object.
func canceled(reasons ...string) reply {
	texts := make([]string, len(reasons))
	for i, r := range reasons {
		if texts[i] = r; !strings.HasPrefix(r, "{") && r != "null" {
			texts[i] = fmt.Sprintf(`{"Code":%q,"Message":"canned"}`, r)
		}
	}
	return reply{status: 400, code: "TransactionCanceledException", body: `,"CancellationReasons":[` + strings.Join(texts, ",") + `]`}
}

// kindOfStep is kindOf for the error of a step.
func kindOfStep(err error) string {
	if conflicts, ok := errors.AsType[*head.ConflictsError](err); ok {
		var names []string
		for _, id := range []string{"order-1", "order-2", "order-3"} {
			if winner, failed := conflicts.Winners[id]; failed {
				names = append(names, id+": "+kindOf(&head.ConflictError{Winner: winner}))
			}
		}
		return strings.Join(names, ", ")
	}
	return kindOf(err)
}

func TestSwapAllReasons(t *testing.T) {
	exchanges := step(t)
	failed := func(h head.Head) string { return `{"Code":"ConditionalCheckFailed","Message":"m"` + stored(t, h) + `}` }
	const empty, none, failure = `{"Code":"ConditionalCheckFailed"}`, "None", "ConditionalCheckFailed"
	other := first(t, "order-1")
	for name, test := range map[string]struct {
		reply reply
		want  string
	}{
		"one winner":              {canceled(failed(other), none, none), "order-1: conflict"},
		"all winners":             {canceled(failed(other), failed(first(t, "order-2")), failed(link.Tombstone(exchanges[2].Old))), "order-1: conflict, order-2: conflict, order-3: conflict"},
		"no items":                {canceled(empty, none, empty), "order-1: conflict with no head, order-3: conflict with no head"},
		"an item there must be":   {canceled(none, empty, none), "order-2: conflict, winner not told"},
		"an item of nonsense":     {canceled(`{"Code":"ConditionalCheckFailed","Item":{"aggregate-id":{"S":"p/order-1"}}}`, none, none), "order-1: conflict, winner not told"},
		"a head that is the same": {canceled(none, none, failed(exchanges[2].Old)), "order-3: conflict, winner not told"},
		"another key":             {canceled(none, none, failed(other)), "order-3: conflict, winner not told"},

		"a conflict beside a transaction": {canceled("TransactionConflict", none, failure), "order-3: conflict with no head"},
		"a conflict beside an error":      {canceled("ValidationError", none, failure), "order-3: conflict with no head"},
		"a conflict beside a new code":    {canceled("AnUnheardOfCode", none, failure), "order-3: conflict with no head"},

		"a transaction":      {canceled("TransactionConflict", none, none), later},
		"transactions":       {canceled("TransactionConflict", "TransactionConflict", "TransactionConflict"), later},
		"throttled":          {canceled(none, "ThrottlingError", none), later},
		"too much":           {canceled(none, "ProvisionedThroughputExceeded", "TransactionConflict"), later},
		"invalid":            {canceled(none, "ValidationError", none), never},
		"invalid, throttled": {canceled("ThrottlingError", "ValidationError", none), never},
		"throttled, invalid": {canceled("ValidationError", "ThrottlingError", none), never},
		"collection":         {canceled(none, none, "ItemCollectionSizeLimitExceeded"), never},

		"all none":              {canceled(none, none, none), unknown},
		"short":                 {canceled(failure, none), unknown},
		"long":                  {canceled(none, none, none, failure), unknown},
		"empty":                 {canceled(), unknown},
		"no list":               {reply{status: 400, code: "TransactionCanceledException"}, unknown},
		"a null list":           {reply{status: 400, code: "TransactionCanceledException", body: `,"CancellationReasons":null`}, unknown},
		"a null reason":         {canceled(failure, "null", none), unknown},
		"no code":               {canceled("TransactionConflict", "{}", none), unknown},
		"a null code":           {canceled(failure, `{"Code":null}`, none), unknown},
		"an empty code":         {canceled(none, `{"Code":""}`, "TransactionConflict"), unknown},
		"a new code":            {canceled(none, "AnUnheardOfCode", none), unknown},
		"a new code, throttled": {canceled("ThrottlingError", "AnUnheardOfCode", none), unknown},
		"a failing server":      {reply{500, "TransactionCanceledException", canceled(failure, none, none).body}, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			server := always(test.reply)
			_, err := open(t, server).SwapAll(t.Context(), exchanges)
			require.Equal(t, test.want, kindOfStep(err), "%v", err)
			require.Equal(t, []string{"TransactWriteItems"}, server.operations, "a step is one attempt")
		})
	}
}

func TestSwapAllNamesTheWinners(t *testing.T) {
	exchanges := step(t)
	winner, erased := first(t, "order-2"), link.Tombstone(exchanges[2].Old)
	server := always(canceled("None", `{"Code":"ConditionalCheckFailed"`+stored(t, winner)+`}`, `{"Code":"ConditionalCheckFailed"`+stored(t, erased)+`}`))
	_, err := open(t, server).SwapAll(t.Context(), exchanges)
	conflicts, ok := errors.AsType[*head.ConflictsError](err)
	require.True(t, ok)
	require.True(t, conflicts.Winners["order-2"].SameRecord(winner))
	require.True(t, conflicts.Winners["order-3"].SameRecord(erased))
}

// TestSwapAllOfAnItemForNewerVersions: the item is the expected one, but only newer
// versions may replace it.
func TestSwapAllOfAnItemForNewerVersions(t *testing.T) {
	exchanges := step(t)
	newer := strings.NewReplacer(`"min-writer":{"N":"1"}`, `"min-writer":{"N":"3"}`, `"format":{"N":"1"}`, `"format":{"N":"3"}`).Replace(stored(t, exchanges[0].Old))
	_, err := open(t, always(canceled(`{"Code":"ConditionalCheckFailed"`+newer+`}`, "None", "None"))).SwapAll(t.Context(), exchanges)
	require.Equal(t, never, kindOfStep(err))
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}

func TestSwapAllTellsWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   string
	}{
		{400, "ProvisionedThroughputExceededException", later},
		{400, "RequestLimitExceeded", later},
		{400, "ThrottlingException", later},
		{400, "TransactionConflictException", later},
		{400, "AccessDeniedException", never},
		{400, "ResourceNotFoundException", never},
		{400, "ValidationException", never},

		{400, "AnUnheardOfCode", unknown},
		{400, "ConditionalCheckFailedException", unknown},
		{400, "IdempotentParameterMismatchException", unknown},
		{400, "TransactionInProgressException", unknown},
		{500, "InternalServerError", unknown},
		{500, "TransactionConflictException", unknown},
		{503, "ThrottlingException", unknown},
		{502, "", unknown},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.code), func(t *testing.T) {
			server := always(reply{status: test.status, code: test.code})
			_, err := open(t, server).SwapAll(t.Context(), step(t))
			require.Equal(t, test.want, kindOfStep(err), "%v", err)
			require.NotContains(t, server.operations[1:], "TransactWriteItems", "a step is one attempt")
		})
	}
}

func TestSwapAllLosesItsReply(t *testing.T) {
	for name, lost := range map[string]struct {
		reply answer
		err   error
	}{
		"cut":             {err: &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}},
		"timeout":         {err: context.DeadlineExceeded},
		"a login page":    {reply: answer{200, map[string]string{"Content-Type": "text/html"}, "<html>"}},
		"another's JSON":  {reply: answer{200, map[string]string{"Content-Type": "application/json"}, "{}"}},
		"another's error": {reply: answer{400, map[string]string{"Content-Type": "application/json"}, `{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"},{"Code":"None"},{"Code":"None"}]}`}},
		"half a reply":    {reply: good(`{"Item`)},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := open(t, doFunc(func(r *http.Request) (*http.Response, error) {
				n++
				return lost.reply.send(r), lost.err
			}))
			_, err := s.SwapAll(t.Context(), step(t))
			require.Error(t, err)
			require.Equal(t, unknown, kindOfStep(err))
			require.Equal(t, 1, n)
		})
	}
}

func TestSwapAllThatIsNeverSent(t *testing.T) {
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server, withoutCredentials).SwapAll(t.Context(), step(t))
	require.Equal(t, never, kindOfStep(err))
	requireSetup(t, err, "no request could be made to DynamoDB")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = open(t, server).SwapAll(ctx, step(t))
	require.Equal(t, never, kindOfStep(err))
	require.ErrorIs(t, err, context.Canceled)
	_, err = open(t, server).SwapAll(t.Context(), step(t)[2:])
	require.Equal(t, never, kindOfStep(err))
	require.Empty(t, server.operations)

	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	_, err = open(t, doFunc(func(*http.Request) (*http.Response, error) { return nil, dial })).SwapAll(t.Context(), step(t))
	require.Equal(t, later, kindOfStep(err))
}

// TestSwapAllSendsItsConditions: a head that is to be unchanged has the same condition
// whatever its revision, and no condition of a swap is weaker than the condition of
// [dynamostore.Store.Swap].
func TestSwapAllSendsItsConditions(t *testing.T) {
	exchanges := append(step(t), head.Exchange{AggregateID: "order-4"}, head.Exchange{AggregateID: "order-5", Old: link.Void("order-5")})
	server := always(reply{status: 200, body: "{}"})
	s := open(t, server)
	heads, err := s.SwapAll(t.Context(), exchanges)
	require.NoError(t, err)
	require.Len(t, heads, len(exchanges))
	members := server.bodies[0]["TransactItems"].([]any)
	require.Len(t, members, len(exchanges))
	for i, e := range exchanges[:2] {
		require.True(t, heads[i].SameRecord(e.Next))
		_, err := s.Swap(t.Context(), e.Old, e.Next)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"Update": server.bodies[i+1]}, members[i])
	}
	for i, e := range exchanges[2:] {
		require.Equal(t, e.Old, heads[i+2])
		check := members[i+2].(map[string]any)["ConditionCheck"].(map[string]any)
		require.Equal(t, "ALL_OLD", check["ReturnValuesOnConditionCheckFailure"])
		require.Equal(t, map[string]any{"aggregate-id": map[string]any{"S": "p/" + e.AggregateID}}, check["Key"])
		want := "attribute_not_exists(#aggregate_id) OR #state = :old_state"
		if e.Old.Exists() {
			want = "#aggregate_version = :old_aggregate_version AND #changeset_id = :old_changeset_id AND #digest = :old_digest AND #state = :old_state AND attribute_not_exists(#moved_to) AND attribute_not_exists(#moving_to)"
		}
		require.Equal(t, want, check["ConditionExpression"])
	}
	values := members[4].(map[string]any)["ConditionCheck"].(map[string]any)["ExpressionAttributeValues"]
	require.Equal(t, map[string]any{":old_state": map[string]any{"S": "void"}}, values)
}

// TestSwapAllTokens: a step has the same token in each process, whenever it is
// sent, and any other step has another.
func TestSwapAllTokens(t *testing.T) {
	exchanges := step(t)
	token := func(change func([]head.Exchange)) string {
		sent := append([]head.Exchange{}, exchanges...)
		change(sent)
		server := always(reply{status: 400, code: "TransactionInProgressException"})
		_, err := open(t, server).SwapAll(t.Context(), sent)
		require.Equal(t, unknown, kindOfStep(err))
		return server.bodies[0]["ClientRequestToken"].(string)
	}
	same := token(func([]head.Exchange) {})
	require.LessOrEqual(t, len(same), 36)
	require.Equal(t, same, token(func([]head.Exchange) {}))
	require.Equal(t, same, token(func(e []head.Exchange) { e[0].Changesets = make([]changeset.Changeset, 1) }), "they are elsewhere")
	for name, change := range map[string]func([]head.Exchange){
		"another changeset":      func(e []head.Exchange) { e[1].Next = first(t, "order-2") },
		"another revision":       func(e []head.Exchange) { e[0].Next.Revision++ },
		"another old revision":   func(e []head.Exchange) { e[0].Old.Revision++; e[0].Next.Revision += 2 },
		"another unchanged head": func(e []head.Exchange) { e[2].Old = first(t, "order-3") },
		"no head":                func(e []head.Exchange) { e[2].Old = head.Head{} },
		"another aggregate":      func(e []head.Exchange) { e[2].AggregateID, e[2].Old = "order-4", first(t, "order-4") },
		"another order":          func(e []head.Exchange) { e[0], e[1] = e[1], e[0] },
	} {
		require.NotEqual(t, same, token(change), name)
	}
}

// TestSwapAllWithoutTransactions: DynamoDB has no transactions in a table with multi-Region
// strong consistency. Any code with which it says so is recognised.
func TestSwapAllWithoutTransactions(t *testing.T) {
	describe := func(consistency string) *canned {
		return &canned{reply: func(_ int, operation string) reply {
			if operation == "DescribeTable" {
				return reply{status: 200, body: table(onDemand + `,"MultiRegionConsistency":"` + consistency + `"`)}
			}
			return reply{status: 400, code: "ValidationException"}
		}}
	}
	for _, code := range []string{"ValidationException", "AnUnheardOfCode"} {
		server := describe("STRONG")
		inner := server.reply
		server.reply = func(n int, operation string) reply {
			r := inner(n, operation)
			if r.status == 400 {
				r.code = code
			}
			return r
		}
		_, err := open(t, server).SwapAll(t.Context(), step(t))
		require.Equal(t, never, kindOfStep(err))
		require.ErrorIs(t, err, errors.ErrUnsupported)
		requireSetup(t, err, "multi-Region strong consistency")
		require.Equal(t, []string{"TransactWriteItems", "DescribeTable"}, server.operations)
	}
	_, err := open(t, describe("EVENTUAL")).SwapAll(t.Context(), step(t))
	require.Equal(t, never, kindOfStep(err))
	require.NotErrorIs(t, err, errors.ErrUnsupported)
}

// TestSwapMeetsATransaction: a plain swap is refused before it takes effect.
func TestSwapMeetsATransaction(t *testing.T) {
	old := build(t)
	s := open(t, oneAfterAnother(reply{status: 400, code: "TransactionConflictException"}, reply{status: 200, body: "{}"}))
	_, err := s.Swap(t.Context(), old, link.Fence(old))
	require.Equal(t, later, kindOf(err))
	_, err = s.Swap(t.Context(), old, link.Fence(old))
	require.NoError(t, err)
}
