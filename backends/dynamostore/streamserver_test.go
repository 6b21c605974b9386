package dynamostore_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// streamServer answers as DynamoDB does for a table with a stream, in virtual time:
// records are there for 24 hours, iterators are good for 15 minutes, a shard that
// is closed ends. It reaches its client without a network.
type streamServer struct {
	t       *testing.T
	mu      sync.Mutex
	options []func(*dynamodb.Options) // of its clients
	stream  string                    // its ARN; empty if the table has no stream
	status  string
	shards  []*testShard // those that are listed
	perPage int          // how many shards or records a page has at most; 0 is 100
	// instead, if set, may return a reply to the n-th request of an operation, from 0.
	instead    func(n int, operation string, body map[string]any) *answer
	operations []string
	counts     map[string]int
	bodies     []map[string]any
	sequence   int
	item       string // of order-1
}

type testShard struct {
	id      string
	records []testRecord
	closed  bool
}

type testRecord struct {
	sequence int
	at       time.Time
	json     string
}

const (
	testStream = "arn:aws:dynamodb:eu-west-1:123456789012:table/table/stream/1"
	retention  = 24 * time.Hour
	iterators  = 15 * time.Minute
)

func newStreamServer(t *testing.T, options ...func(*dynamodb.Options)) *streamServer {
	s := &streamServer{t: t, options: options, stream: testStream, status: "ENABLED", counts: map[string]int{}}
	s.split()
	return s
}

// follow takes pages of hints from a new store until stop returns true for one; the
// server stands still meanwhile. It returns the pages and the error that has ended
// them.
func (s *streamServer) follow(cursor []byte, stop func(head.Hints) bool) (pages []head.Hints, ended error) {
	s.t.Helper()
	for p, err := range open(s.t, s, s.options...).Hints(s.t.Context(), cursor) {
		if err != nil {
			return pages, err
		}
		require.LessOrEqual(s.t, len(p.Cursor), 64<<10)
		require.True(s.t, json.Valid(p.Cursor))
		pages = append(pages, p)
		if s.locked(func() bool { return stop(p) }) {
			break
		}
	}
	return pages, nil
}

func (s *streamServer) locked(do func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return do()
}

// split adds a shard.
func (s *streamServer) split() *testShard {
	s.sequence++
	shard := &testShard{id: fmt.Sprintf("shardId-%020d-%08x", time.Now().UnixMilli(), s.sequence)}
	s.shards = append(s.shards, shard)
	return shard
}

// put adds a record of a change to the shard.
func (s *streamServer) put(shard *testShard, id string) {
	if s.item == "" {
		s.item = item(s.t, build(s.t), "")
	}
	s.putItem(shard, "p/"+changeset.Escape(id), strings.ReplaceAll(s.item, "p/order-1", "p/"+changeset.Escape(id)))
}

func (s *streamServer) putItem(shard *testShard, key, item string) {
	s.sequence++
	image := ""
	if item != "" {
		image = `"NewImage":` + item + `,`
	}
	record := fmt.Sprintf(`{"eventID":"1","eventName":"MODIFY","dynamodb":{"ApproximateCreationDateTime":%d,"Keys":{"aggregate-id":{"S":%q}},%s"SequenceNumber":"%021d"}}`,
		time.Now().Unix(), key, image, s.sequence)
	shard.records = append(shard.records, testRecord{s.sequence, time.Now(), record})
}

// disable disables the stream, and closes its shards.
func (s *streamServer) disable() {
	s.status = "DISABLED"
	for _, shard := range s.shards {
		shard.closed = true
	}
}

// replace enables another stream.
func (s *streamServer) replace() {
	s.sequence++
	s.stream, s.status, s.shards = fmt.Sprint(testStream, "-", s.sequence), "ENABLED", nil
	s.split()
}

// expire forgets closed shards of which nothing is left.
func (s *streamServer) expire() {
	s.shards = slices.DeleteFunc(s.shards, func(shard *testShard) bool {
		return shard.closed && shard.oldest() == len(shard.records)
	})
}

// sleep lets time pass while others can reach the server.
func (s *streamServer) sleep(d time.Duration) {
	s.mu.Unlock()
	time.Sleep(d)
	s.mu.Lock()
}

// oldest returns the index of the oldest record that is left.
func (shard *testShard) oldest() int {
	i := slices.IndexFunc(shard.records, func(r testRecord) bool { return time.Since(r.at) < retention })
	if i < 0 {
		return len(shard.records)
	}
	return i
}

func (s *streamServer) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[operation]
	s.counts[operation]++
	s.operations, s.bodies = append(s.operations, operation), append(s.bodies, body)
	a := s.answer(operation, body)
	if s.instead != nil {
		if other := s.instead(n, operation, body); other != nil {
			a = *other
		}
	}
	a.header["Date"] = time.Now().UTC().Format(http.TimeFormat)
	return a.send(r), nil
}

func (s *streamServer) answer(operation string, body map[string]any) answer {
	switch operation {
	case "DescribeTable":
		if s.stream == "" {
			return good(table(onDemand))
		}
		return good(table(`"LatestStreamArn":"` + s.stream + `"`))
	case "DescribeStream":
		return s.describe(body)
	case "GetShardIterator":
		return s.iterator(body)
	case "GetRecords":
		return s.records(body["ShardIterator"].(string))
	}
	return refused("UnknownOperationException")
}

func refused(code string) answer {
	a := good(`{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"canned"}`)
	a.status = 400
	return a
}

func (s *streamServer) describe(body map[string]any) answer {
	if body["StreamArn"] != s.stream {
		return refused("ResourceNotFoundException")
	}
	from := 0
	if start, ok := body["ExclusiveStartShardId"].(string); ok {
		from = 1 + slices.IndexFunc(s.shards, func(shard *testShard) bool { return shard.id == start })
	}
	to, last := min(from+s.page(), len(s.shards)), ""
	if to < len(s.shards) {
		last = `,"LastEvaluatedShardId":"` + s.shards[to-1].id + `"`
	}
	var shards []string
	for _, shard := range s.shards[from:to] {
		ending := ""
		if shard.closed {
			ending = `,"EndingSequenceNumber":"000000000000000000009"`
		}
		shards = append(shards, `{"ShardId":"`+shard.id+`","SequenceNumberRange":{"StartingSequenceNumber":"000000000000000000001"`+ending+`}}`)
	}
	return good(`{"StreamDescription":{"StreamArn":"` + s.stream + `","StreamStatus":"` + s.status + `","StreamViewType":"NEW_IMAGE","Shards":[` + strings.Join(shards, ",") + `]` + last + `}}`)
}

func (s *streamServer) page() int {
	if s.perPage == 0 {
		return 100
	}
	return s.perPage
}

func (s *streamServer) find(id string) *testShard {
	if i := slices.IndexFunc(s.shards, func(shard *testShard) bool { return shard.id == id }); i >= 0 {
		return s.shards[i]
	}
	return nil
}

func (s *streamServer) iterator(body map[string]any) answer {
	require.Contains(s.t, []any{"TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"}, body["ShardIteratorType"])
	shard := s.find(body["ShardId"].(string))
	if shard == nil || body["StreamArn"] != s.stream {
		return refused("ResourceNotFoundException")
	}
	from := shard.oldest()
	if body["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER" {
		sequence, err := strconv.Atoi(body["SequenceNumber"].(string))
		i := slices.IndexFunc(shard.records, func(r testRecord) bool { return r.sequence == sequence })
		if err != nil || i < 0 {
			return refused("ValidationException")
		}
		if from = i + 1; from < shard.oldest() {
			return refused("TrimmedDataAccessException")
		}
	}
	return good(`{"ShardIterator":"` + iteratorOf(shard, from) + `"}`)
}

// iteratorOf returns an iterator, which names its shard, its place and when it was made.
func iteratorOf(shard *testShard, from int) string {
	return fmt.Sprintf("%s|%d|%d", shard.id, from, time.Now().UnixNano())
}

func (s *streamServer) records(iterator string) answer {
	parts := strings.Split(iterator, "|")
	shard := s.find(parts[0])
	from, err := strconv.Atoi(parts[1])
	require.NoError(s.t, err)
	made, err := strconv.ParseInt(parts[2], 10, 64)
	require.NoError(s.t, err)
	switch {
	case shard == nil:
		return refused("ResourceNotFoundException")
	case time.Since(time.Unix(0, made)) > iterators:
		return refused("ExpiredIteratorException")
	case from < shard.oldest():
		return refused("TrimmedDataAccessException")
	}
	to := min(from+s.page(), len(shard.records))
	var records []string
	for _, r := range shard.records[from:to] {
		records = append(records, r.json)
	}
	next := ""
	if !shard.closed || to < len(shard.records) {
		next = `,"NextShardIterator":"` + iteratorOf(shard, to) + `"`
	}
	return good(`{"Records":[` + strings.Join(records, ",") + `]` + next + `}`)
}

func caughtUp(p head.Hints) bool { return p.CaughtUp }

// hinted returns the IDs of the hints of all pages, in order.
func hinted(pages []head.Hints) (ids []string) {
	for _, p := range pages {
		for _, h := range p.Hints {
			ids = append(ids, h.AggregateID)
		}
	}
	return ids
}

// lost returns how many pages admit a loss.
func lost(pages []head.Hints) (n int) {
	for _, p := range pages {
		if p.Lost {
			n++
		}
	}
	return n
}
