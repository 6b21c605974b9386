package lab_test

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/changeset"
	"ropewalk/head"
)

// The sizes of attributes, by hand: name and value.
func TestSizeOfAnItem(t *testing.T) {
	for _, c := range []struct {
		item lab.Item
		size int
	}{
		{nil, 0},
		{lab.Item{"a": {"S": "xyz"}}, 1 + 3},
		{lab.Item{"é": {"S": "é"}}, 2 + 2},
		{lab.Item{"bin": {"B": "AAECAw=="}}, 3 + 4},
		{lab.Item{"zero": {"N": "0"}}, 4 + 1},
		{lab.Item{"n": {"N": "42"}}, 1 + 2},
		{lab.Item{"n": {"N": "471"}}, 1 + 3},
		{lab.Item{"n": {"N": "4711"}}, 1 + 3},
		{lab.Item{"n": {"N": "47000"}}, 1 + 2},
		{lab.Item{"a": {"S": "xyz"}, "n": {"N": "1"}}, 1 + 3 + 1 + 2},
	} {
		size, err := c.item.Size()
		require.NoError(t, err)
		require.Equal(t, c.size, size, "%v", c.item)
	}
	for _, value := range []map[string]any{nil, {"L": []any{}}, {"B": nil}, {"B": "="}} {
		_, err := lab.Item{"a": value}.Size()
		require.Error(t, err, "%v", value)
	}
}

// chain appends to one chain whose heads are on a bill.
type chain struct {
	bill *lab.Bill
	*ropewalk.Chain
	head.Head
}

func newChain(t *testing.T, options *ropewalk.Options) *chain {
	bill := lab.NewBill()
	heads, err := dynamostore.New(bill.Client(), "heads", nil)
	require.NoError(t, err)
	return &chain{bill: bill, Chain: ropewalk.New(memstore.New(), heads, options).Chain("order-1")}
}

// units returns the write units of an append.
func (c *chain) units(t *testing.T, size int) int {
	t.Helper()
	before := c.bill.Units().Write
	var err error
	c.Head, err = c.Append(t.Context(), c.Head, changeset.Draft{Content: []byte(strings.Repeat("x", size))})
	require.NoError(t, err)
	return c.bill.Units().Write - before
}

// The larger of the old and the new item is charged, what a write removes no longer
// belongs to the item, and a read returns what was written.
func TestBillOfHeads(t *testing.T) {
	c := newChain(t, &ropewalk.Options{Packed: true, TipSize: 3 << 10})
	require.Equal(t, 2, c.units(t, 1000))
	require.Equal(t, 3, c.units(t, 1000))
	require.NotEmpty(t, c.Tip)
	require.Equal(t, 3, c.units(t, 1000), "the new item is small, the old one is not")
	require.Empty(t, c.Tip)
	require.Equal(t, 2, c.units(t, 1000))
	got, err := c.Chain.Head(t.Context())
	require.NoError(t, err)
	require.True(t, got.SameRecord(c.Head))
	require.Equal(t, c.Tip, got.Tip)
	require.Equal(t, 1, c.bill.Units().Read)
}

// A transaction is charged twice, also for what it only tests.
func TestBillOfACommit(t *testing.T) {
	bill := lab.NewBill()
	heads, err := dynamostore.New(bill.Client(), "heads", nil)
	require.NoError(t, err)
	store := ropewalk.New(memstore.New(), heads, nil)
	seen, err := store.Chain("seen").Create(t.Context(), changeset.Draft{Content: []byte("{}")})
	require.NoError(t, err)
	before := bill.Units().Write
	draft := changeset.Draft{Content: []byte("{}")}
	_, err = store.Commit(t.Context(), store.Chain("a").Appending(head.Head{}, draft), store.Chain("b").Appending(head.Head{}, draft),
		store.Chain("seen").Unchanged(seen), store.Chain("missing").Unchanged(head.Head{}))
	require.NoError(t, err)
	require.Equal(t, 8, bill.Units().Write-before)
}

func TestBillOfATableOfEvents(t *testing.T) {
	bill := lab.NewBill()
	table := peers.TableAt(bill.Client(), "events")
	for version, size := range []int{500, 1000, 3000} {
		before := bill.Units().Write
		require.NoError(t, table.Append(t.Context(), "order-1", version, make([]byte, size)))
		require.Equal(t, version+1, bill.Units().Write-before, "%d bytes, names and keys", size)
	}
}

// DynamoDB Local charges what the bill does, to the byte.
func TestBillAgainstDynamoDBLocal(t *testing.T) {
	if os.Getenv("BENCH_DYNAMODB") == "" {
		t.Skip("BENCH_DYNAMODB is not set")
	}
	server, err := lab.StartDynamoDB(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	client := server.DynamoDB(lab.NewWire(0, 1))
	_, err = peers.NewEventTable(t.Context(), client, "events")
	require.NoError(t, err)
	for _, number := range []string{"0", "7", "42", "471", "4711", "18446744073709551615"} {
		fixed := lab.Item{"aggregateId": {"S": "order-é"}, "version": {"N": number}, "digest": {"B": "AAECAw=="}, "tip": {"S": ""}}
		without, err := fixed.Size()
		require.NoError(t, err)
		for _, size := range []int{1024, 1025, 3072, 3073} {
			out, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: aws.String("events"), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
				Item: map[string]types.AttributeValue{
					"aggregateId": &types.AttributeValueMemberS{Value: "order-é"},
					"version":     &types.AttributeValueMemberN{Value: number},
					"digest":      &types.AttributeValueMemberB{Value: []byte{0, 1, 2, 3}},
					"tip":         &types.AttributeValueMemberS{Value: strings.Repeat("x", size-without)},
				},
			})
			require.NoError(t, err)
			require.InDelta(t, (size+1023)/1024, *out.ConsumedCapacity.CapacityUnits, 0, "%d bytes with the number %s", size, number)
		}
	}
}
