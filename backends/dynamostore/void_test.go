package dynamostore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestSwapOfAVoidHead follows a void head from its creation over a fence to the first head
// of each format. The item of format 1 gets format numbers of its own again.
func TestSwapOfAVoidHead(t *testing.T) {
	void := link.Void("order-1")
	create := updateOf(t, head.Head{}, void)
	require.Equal(t, "attribute_not_exists(#aggregate_id)", create["ConditionExpression"])
	set, removed := effect(t, create)
	require.Empty(t, removed)
	require.Equal(t, map[string]any{"S": "void"}, set["state"])
	require.Equal(t, map[string]any{"B": ""}, set["ancestors"])
	require.Equal(t, map[string]any{"S": changeset.ID{}.String()}, set["changeset-id"])
	for _, name := range []string{"format", "min-reader", "min-writer"} {
		require.Equal(t, map[string]any{"N": "2"}, set[name], name)
	}

	_, first, err := link.Extend(void, "order-1", make([]changeset.Draft, 1), time.Unix(1, 0))
	require.NoError(t, err)
	for _, next := range []head.Head{link.Fence(void), first, packedAfterVoid(t)} {
		update := updateOf(t, void, next)
		require.Equal(t, "#revision = :old_revision AND #aggregate_version = :old_aggregate_version AND "+
			"#changeset_id = :old_changeset_id AND #digest = :old_digest AND #min_writer <= :own_min_writer", update["ConditionExpression"])
		values := update["ExpressionAttributeValues"].(map[string]any)
		require.Equal(t, map[string]any{"N": "1"}, values[":old_revision"])
		require.Equal(t, map[string]any{"S": changeset.ID{}.String()}, values[":old_changeset_id"])
		set, removed := effect(t, update)
		require.Empty(t, removed)
		for _, name := range []string{"format", "min-reader", "min-writer"} {
			if next.Formats == (head.Formats{}) {
				require.Equal(t, map[string]any{"N": "1"}, set[name], name)
			} else {
				require.NotContains(t, set, name, "the item has it")
			}
		}
	}
}

func packedAfterVoid(t *testing.T) head.Head {
	h := packed(t, head.MaxTip)[0]
	h.Revision = 2
	return h
}

// TestConflictNamesAVoidHead: the void head comes with the conflict as the winner.
func TestConflictNamesAVoidHead(t *testing.T) {
	void := link.Void("order-1")
	_, first, err := link.Extend(head.Head{}, "order-1", make([]changeset.Draft, 1), time.Unix(1, 0))
	require.NoError(t, err)
	failed := reply{status: 400, body: `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":` + item(t, void, "") + `}`}
	_, err = open(t, always(failed)).Swap(t.Context(), head.Head{}, first)
	var conflict *head.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, void, *conflict.Winner)

	failed.body = `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed"}`
	_, err = open(t, always(failed)).Swap(t.Context(), void, link.Fence(void))
	require.ErrorAs(t, err, &conflict)
	require.NotNil(t, conflict.Winner, "there was to be an item")
	require.True(t, conflict.Winner.IsZero())
}
