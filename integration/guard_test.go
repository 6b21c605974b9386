//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/examples/orderboard"
	"ropewalk/feed"
	"ropewalk/gc"
)

// line is an item of the board, without its guard.
type line struct{ quantity, cents, shipped string }

// board is an order board in a table of its own, over a wire that can lose replies,
// and a store with orders.
type board struct {
	orderboard.Board
	wire  *awsWire
	store *memstore.Store
	feed  *feed.Feed
	want  map[string]line
}

func newBoard(t *testing.T) *board {
	a := newLocalStack(t)
	b := &board{wire: &awsWire{}, store: memstore.New(), want: map[string]line{}}
	b.Client, b.Table = a.with(b.wire).dynamodb(), a.table
	id := "id"
	_, err := b.Client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &b.Table, BillingMode: dynamotypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamotypes.AttributeDefinition{{AttributeName: &id, AttributeType: dynamotypes.ScalarAttributeTypeS}},
		KeySchema:            []dynamotypes.KeySchemaElement{{AttributeName: &id, KeyType: dynamotypes.KeyTypeHash}},
	})
	require.NoError(t, err)
	b.feed = feed.Open(ropewalk.New(b.store, b.store, nil), nil)
	return b
}

// sell makes orders of different lengths, interleaved, each with a plain sum of its
// lines. A changeset can have several events.
func (b *board) sell(t *testing.T, orders int) {
	repo := aggregate.New(ropewalk.New(b.store, b.store, nil), orderboard.Orders, nil)
	type sums struct{ quantity, cents int64 }
	plain := map[string]sums{}
	for n := range 3 * orders {
		id := fmt.Sprintf("order-%d", n*n%orders)
		events := []orderboard.Event{orderboard.LineAdded{Quantity: 1, Cents: int64(n)}, orderboard.LineAdded{Quantity: 2, Cents: 5}}
		l, err := repo.Upsert(t.Context(), id, func(struct{}) ([]orderboard.Event, error) { return events, nil })
		require.NoError(t, err)
		plain[id] = sums{plain[id].quantity + 3, plain[id].cents + int64(n) + 5}
		b.want[id] = line{fmt.Sprint(plain[id].quantity), fmt.Sprint(plain[id].cents), b.want[id].shipped}
		if l.Head.Version == 2 {
			l, err = repo.Save(t.Context(), l, []orderboard.Event{orderboard.Shipped{}})
			require.NoError(t, err)
			b.want[id] = line{b.want[id].quantity, b.want[id].cents, fmt.Sprint(l.Head.Version)}
		}
	}
}

// changes returns the changes that the feed has, under an owner's fence.
func (b *board) changes(t *testing.T, fence uint64) []feed.Change {
	changes, err := ropewalk.Collect(b.feed.After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	for i := range changes {
		changes[i].Fence = fence
	}
	return changes
}

// consume hands the changes over in order. Now and then it goes back to an earlier
// change, as after a crash, or loses a reply.
func (b *board) consume(ctx context.Context, changes []feed.Change, random *rand.Rand) error {
	for i, back := 0, 0; i < len(changes); i++ {
		if random.IntN(8) == 0 {
			losses := []string{"connection reset", "connection cut", "500"}
			b.wire.losing(1, awsLosses[losses[random.IntN(len(losses))]])
		}
		if err := b.Handle(ctx, changes[i]); err != nil {
			return err
		}
		if back < 12 && random.IntN(6) == 0 {
			i, back = random.IntN(i+1)-1, back+1
		}
	}
	return nil
}

// lines returns the board, without erased orders.
func (b *board) lines(t *testing.T) map[string]line {
	lines := map[string]line{}
	out, err := b.Client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &b.Table})
	require.NoError(t, err)
	for _, item := range out.Items {
		if _, erased := item["erased"]; erased {
			require.Subset(t, []string{"id", "version", "fence", "erased"}, keys(item))
			continue
		}
		lines[item["id"].(*dynamotypes.AttributeValueMemberS).Value] = line{numberOf(item, "quantity"), numberOf(item, "cents"), numberOf(item, "shipped")}
	}
	return lines
}

func keys(item map[string]dynamotypes.AttributeValue) (names []string) {
	for name := range item {
		names = append(names, name)
	}
	return names
}

func numberOf(item map[string]dynamotypes.AttributeValue, name string) string {
	n, ok := item[name].(*dynamotypes.AttributeValueMemberN)
	if !ok {
		return ""
	}
	return n.Value
}

// Changes that are handed over again, by two consumers at once, whose replies are
// lost, enter the table once.
func TestGuardedTargetIsExact(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	b.sell(t, 23)
	var group sync.WaitGroup
	for consumer := range uint64(2) {
		changes := b.changes(t, 1)
		group.Go(func() {
			if err := b.consume(t.Context(), changes, rand.New(rand.NewPCG(1, consumer))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, b.want, b.lines(t))
}

// An earlier owner that is still at work cannot change an order that a later owner
// has changed, and finds out that it was replaced.
func TestGuardedTargetRefusesAnEarlierOwner(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	b.sell(t, 5)
	earlier, later := b.changes(t, 1), b.changes(t, 2)
	at := slices.IndexFunc(later, func(c feed.Change) bool { return c.Version == 1 })
	require.NoError(t, b.consume(t.Context(), later[:at+1], rand.New(rand.NewPCG(1, 1))))
	before := b.lines(t)
	next := slices.IndexFunc(earlier, func(c feed.Change) bool { return c.AggregateID == earlier[at].AggregateID && c.Version == 2 })
	require.NoError(t, b.Handle(t.Context(), earlier[at]), "it is in the item")
	require.ErrorIs(t, b.Handle(t.Context(), earlier[next]), feed.ErrReplaced)
	require.Equal(t, before, b.lines(t))
	require.NoError(t, b.consume(t.Context(), later, rand.New(rand.NewPCG(1, 2))))
	require.Equal(t, b.want, b.lines(t))
}

// A change that is handed over again after the erasure of its order does not bring
// the order back.
func TestGuardedTargetForgets(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	b.sell(t, 5)
	before := b.changes(t, 1)
	require.NoError(t, b.consume(t.Context(), before, rand.New(rand.NewPCG(2, 1))))
	_, err := gc.New(b.store, b.store, nil).Erase(t.Context(), "order-1")
	require.NoError(t, err)
	delete(b.want, "order-1")
	for range 2 {
		for _, c := range append(b.changes(t, 1), before...) {
			require.NoError(t, b.Handle(t.Context(), c))
		}
		require.Equal(t, b.want, b.lines(t))
	}
}

// The board is what a subscription with real owners makes of the feed.
func TestGuardedTargetInASubscription(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	b.sell(t, 11)
	total := len(b.changes(t, 0))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	handled := map[string]bool{}
	err := b.feed.Subscription("board", nil).Run(ctx, func(ctx context.Context, c feed.Change) error {
		if err := b.Handle(ctx, c); err != nil {
			return err
		}
		if handled[c.AggregateID+strconv.FormatUint(c.Version, 10)] = true; len(handled) == total {
			stop()
		}
		return b.Handle(ctx, c) // again
	})
	require.NoError(t, err)
	require.Equal(t, b.want, b.lines(t))
}
