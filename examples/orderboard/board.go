// Package orderboard is an example of a read model whose database has no transaction
// with the position of its consumer: a DynamoDB table with an item for each order.
// Copy it and put your own events and attributes in.
//
//	err := f.Subscription("board", nil).Run(ctx, orderboard.Board{Client: client, Table: "board"}.Handle)
//
// A subscription hands a change over again after a crash, and two owners may overlap
// for a moment. So each item has the version of the last change that it contains, and
// a change enters only an item of an older version. A whole changeset is one write,
// because its events share one version.
package orderboard

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/aggregate"
	"ropewalk/feed"
)

// Event is what can happen to an order.
type Event interface{ isEvent() }

// The events, as they are stored.
type (
	LineAdded struct{ Quantity, Cents int64 }
	Shipped   struct{}
)

func (LineAdded) isEvent() {}
func (Shipped) isEvent()   {}

// Orders is the type of the aggregates. The board needs no state of theirs.
var Orders = aggregate.Type[struct{}, Event]{
	Name:   "order",
	Events: aggregate.Events[Event]{"line-added": LineAdded{}, "shipped": Shipped{}},
	Evolve: func(s struct{}, _ Event) struct{} { return s },
}

// Board is the read model: a table with the string key "id". An item has the sums of
// the order's lines, and the version that shipped it. A Board is safe for concurrent
// use.
type Board struct {
	Client *dynamodb.Client
	Table  string
}

// The conditions under which a change may enter an item.
const (
	// newer refuses a change that the item contains.
	newer = "(attribute_not_exists(version) OR version < :version)"
	// alive refuses changes that are handed over again after an erasure.
	alive = "attribute_not_exists(erased)"
	// unfenced refuses an earlier owner of the subscription, once the item has a
	// change from a later owner.
	unfenced = "(attribute_not_exists(fence) OR fence <= :fence)"
)

// Handle adds a change to the item of its order. A change that the item contains
// already is handled. The error matches [feed.ErrReplaced] if a later owner of the
// subscription has written the item. After any other error the outcome is unknown,
// and the change can be handed over again.
func (b Board) Handle(ctx context.Context, c feed.Change) error {
	if c.Erased {
		return b.erase(ctx, c)
	}
	records, err := Orders.Decode(c.Content)
	if err != nil {
		return err
	}
	var quantity, cents int64
	set := "SET version = :version, fence = :fence"
	for _, record := range records {
		switch e := record.Event.(type) {
		case LineAdded:
			quantity, cents = quantity+e.Quantity, cents+e.Cents
		case Shipped:
			set = "SET version = :version, fence = :fence, shipped = :version"
		}
	}
	return b.write(ctx, c, newer+" AND "+alive+" AND "+unfenced, set+" ADD quantity :quantity, cents :cents",
		map[string]types.AttributeValue{":quantity": number(quantity), ":cents": number(cents)})
}

// erase empties the item and keeps it: without it, a change that is handed over again
// would make a new item.
func (b Board) erase(ctx context.Context, c feed.Change) error {
	return b.write(ctx, c, alive+" AND "+unfenced, "SET version = :version, fence = :fence, erased = :true REMOVE quantity, cents, shipped",
		map[string]types.AttributeValue{":true": &types.AttributeValueMemberBOOL{Value: true}})
}

// write changes an item under a condition. It adds the version and the fence to the
// values.
func (b Board) write(ctx context.Context, c feed.Change, condition, update string, values map[string]types.AttributeValue) error {
	values[":version"], values[":fence"] = number(c.Version), number(c.Fence)
	reply, err := b.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &b.Table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: c.AggregateID}},
		ConditionExpression: &condition, UpdateExpression: &update, ExpressionAttributeValues: values,
		ReturnValues: types.ReturnValueUpdatedNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return judge(c, refused.Item)
	}
	if err != nil {
		return err
	}
	if version, ok := value(reply.Attributes, "version"); !ok || version != c.Version {
		return fmt.Errorf("board: the reply for %s has no version %d: it is not from DynamoDB", c.AggregateID, c.Version)
	}
	return nil
}

// judge says what it means that an item has refused a change.
func judge(c feed.Change, item map[string]types.AttributeValue) error {
	version, versioned := value(item, "version")
	fence, _ := value(item, "fence")
	_, erased := item["erased"]
	switch {
	case erased, versioned && version >= c.Version && !c.Erased:
		return nil // the change is handed over again, or its reply was lost
	case versioned && fence > c.Fence:
		return fmt.Errorf("board: owner %d has written %s: %w", fence, c.AggregateID, feed.ErrReplaced)
	}
	return fmt.Errorf("board: %s refuses version %d for no reason that it shows", c.AggregateID, c.Version)
}

func number[N int64 | uint64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// value returns a number of an item.
func value(item map[string]types.AttributeValue, name string) (uint64, bool) {
	n, ok := item[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(n.Value, 10, 64)
	return v, err == nil
}
