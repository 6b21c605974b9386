package lab

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Bill stands for a table of DynamoDB: it keeps the items that clients write, and counts
// what DynamoDB would charge for the requests. It takes every write, whatever its
// condition. It is safe for concurrent use.
type Bill struct {
	mu    sync.Mutex
	items map[string]Item
	units Units
}

// Units are what DynamoDB charges by.
type Units struct {
	// Write is a unit for each KB of an item that is written: of the old or the new item,
	// whichever is larger. A transaction is charged twice, and for items that it only tests
	// as well. Read is a unit for each 4 KB of an item that is read consistently.
	Write, Read int
}

// Item has the attributes of an item as the protocol has them: each attribute is an
// object with its type as the one key.
type Item map[string]map[string]any

// NewBill returns the bill of an empty table.
func NewBill() *Bill { return &Bill{items: map[string]Item{}} }

// Client returns a client whose requests go to the bill.
func (b *Bill) Client() *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", HTTPClient: b,
		Credentials: credentials.NewStaticCredentialsProvider("bench", "benchbench", ""),
	})
}

// Units returns the units of all requests so far.
func (b *Bill) Units() Units {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.units
}

// Bytes returns the sizes of all items together.
func (b *Bill) Bytes() (total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, item := range b.items {
		size, _ := item.Size()
		total += size
	}
	return total
}

// request has the parts of the requests that a bill understands.
type request struct {
	Item, Key  Item
	Expression string            `json:"UpdateExpression"`
	Names      map[string]string `json:"ExpressionAttributeNames"`
	Values     Item              `json:"ExpressionAttributeValues"`
	// Together are the writes of a transaction.
	Together []struct{ Update, ConditionCheck *request } `json:"TransactItems"`
}

// Do answers a request as DynamoDB would.
func (b *Bill) Do(r *http.Request) (*http.Response, error) {
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	reply, err := b.answer(operation, in)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(reply)
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"bill"}},
	}, err
}

func (b *Bill) answer(operation string, in request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch operation {
	case "GetItem":
		item, ok := b.items[keyOf(in.Key)]
		size, err := item.Size()
		b.units.Read += max(1, ceil(size, 4<<10))
		if !ok {
			return struct{}{}, err
		}
		return map[string]Item{"Item": item}, err
	case "PutItem":
		return struct{}{}, b.write(Item{"aggregateId": in.Item["aggregateId"], "version": in.Item["version"]}, in.Item)
	case "UpdateItem":
		return struct{}{}, b.update(in)
	case "TransactWriteItems":
		return struct{}{}, b.transact(in)
	}
	return nil, fmt.Errorf("a bill does not know %s", operation)
}

// update updates an item. It needs the lock.
func (b *Bill) update(in request) error {
	next := maps.Clone(in.Key)
	maps.Copy(next, b.items[keyOf(in.Key)])
	return b.write(in.Key, next.update(in))
}

// transact updates and tests items. It needs the lock.
func (b *Bill) transact(in request) (err error) {
	before := b.units.Write
	for _, one := range in.Together {
		switch {
		case one.Update != nil:
			err = errors.Join(err, b.update(*one.Update))
		case one.ConditionCheck != nil:
			size, failed := b.items[keyOf(one.ConditionCheck.Key)].Size()
			b.units.Write += max(1, ceil(size, 1<<10))
			err = errors.Join(err, failed)
		default:
			err = errors.Join(err, errors.ErrUnsupported)
		}
	}
	b.units.Write += b.units.Write - before
	return err
}

// write replaces an item. It needs the lock.
func (b *Bill) write(key, next Item) error {
	name := keyOf(key)
	is, err := b.items[name].Size()
	will, failed := next.Size()
	b.units.Write += max(1, ceil(max(is, will), 1<<10))
	b.items[name] = next
	return errors.Join(err, failed)
}

// update applies an expression of the form SET #a = :b, … REMOVE #c, …
func (i Item) update(in request) Item {
	set, remove, _ := strings.Cut(strings.TrimPrefix(in.Expression, "SET "), " REMOVE ")
	for assignment := range strings.SplitSeq(set, ", ") {
		name, value, _ := strings.Cut(assignment, " = ")
		i[in.Names[name]] = in.Values[value]
	}
	for name := range strings.SplitSeq(remove, ", ") {
		delete(i, in.Names[name])
	}
	return i
}

func keyOf(key Item) string {
	text, _ := json.Marshal(key)
	return string(text)
}

func ceil(n, unit int) int { return (n + unit - 1) / unit }

// Size returns the size of an item in bytes, as DynamoDB charges it: of each attribute
// the name, and the value. It is an error if a value is no string, number or binary.
func (i Item) Size() (size int, err error) {
	for name, value := range i {
		n, failed := sizeOf(value)
		if failed != nil {
			err = fmt.Errorf("attribute %s, %v: %w", name, value, failed)
		}
		size += len(name) + n
	}
	return size, err
}

func sizeOf(value map[string]any) (int, error) {
	for kind, v := range value {
		text, ok := v.(string)
		if !ok {
			break
		}
		switch kind {
		case "S":
			return len(text), nil
		case "N":
			return numberSize(text), nil
		case "B":
			b, err := base64.StdEncoding.DecodeString(text)
			return len(b), err
		}
	}
	return 0, errors.ErrUnsupported
}

// numberSize returns the size of a whole number that is not negative: a byte for each two
// significant digits, and one more. Zeros at both ends are not significant.
func numberSize(digits string) int {
	return ceil(len(strings.Trim(digits, "0")), 2) + 1
}
