package dynamostore

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/reserved"
)

const streamDisabled = streamtypes.StreamStatusDisabled

// emptyPages is after how many empty pages in a row nothing more is expected in a
// shard. Fewer mean nothing.
const emptyPages = 10

// resolution is the resolution of the service's clock: both its Date header and the
// times of records are rounded down.
const resolution = time.Second

// shard is the reading of one shard. All times are of the service's clock, except
// throttled.
type shard struct {
	id       string
	place    string // a sequence number, horizon or done
	iterator string // of the page after place; empty if it must be made
	ended    bool   // the last page was taken, if the list of shards confirms that

	until     time.Time // all that happened before was read
	empty     int       // how many empty pages came in a row
	quiet     time.Time // when the first of them came, or earlier
	throttled time.Time // since when the shard has been throttled; zero if it is not
}

// shardPage is a page of a shard.
type shardPage struct {
	shard    *shard
	answered bool // false if the shard was throttled
	hints    []head.Hint
	place    string    // of the newest record; empty if there were no records
	next     string    // the iterator of the next page; empty after the last one
	until    time.Time // all that happened before was read, by the newest record
}

// lossError is the error of a shard that cannot be read on from where it was.
type lossError struct{ err error }

func (e *lossError) Error() string { return "hints may be missing: " + e.err.Error() }

func (e *lossError) Unwrap() error { return e.err }

// readPage reads the next page of a shard.
func (f *follower) readPage(ctx context.Context, sh *shard) (shardPage, error) {
	out, err := f.store.streams.page(ctx, f.stream, sh)
	switch code := awscall.Code(err); {
	case slower[code] && (sh.throttled.IsZero() || time.Since(sh.throttled) < awscall.MaxRetryTime):
		return shardPage{shard: sh}, nil
	case code == codeTrimmed || code == codeNoTable || code == codeInvalid && sh.place != horizon:
		return shardPage{}, &lossError{err}
	case err != nil:
		return shardPage{}, err
	}
	p := shardPage{shard: sh, answered: true, next: aws.ToString(out.NextShardIterator)}
	for _, r := range out.Records {
		p.place, p.until = *r.Dynamodb.SequenceNumber, aws.ToTime(r.Dynamodb.ApproximateCreationDateTime).Add(-resolution)
		if hint, ours := f.store.hintOf(r.Dynamodb); ours {
			p.hints = append(p.hints, hint)
		}
	}
	return p, nil
}

// page reads the next page of a shard. An iterator lives for 15 minutes; after that, a
// new one is made.
func (c streams) page(ctx context.Context, stream string, sh *shard) (*dynamodbstreams.GetRecordsOutput, error) {
	if sh.iterator != "" {
		out, err := c.records(ctx, sh.iterator)
		if awscall.Code(err) != codeExpired {
			return out, err
		}
	}
	iterator, err := c.iterator(ctx, stream, sh.id, sh.place)
	if err != nil {
		return nil, err
	}
	return c.records(ctx, iterator)
}

// take goes on to after the page. The shards were listed last at the given time.
func (sh *shard) take(p shardPage, listed time.Time) {
	if !p.answered {
		if sh.throttled.IsZero() {
			sh.throttled = time.Now()
		}
		return
	}
	sh.throttled, sh.iterator, sh.ended = time.Time{}, p.next, p.next == ""
	if p.place != "" {
		sh.place, sh.empty = p.place, 0
		sh.readUntil(p.until)
		return
	}
	if sh.empty == 0 {
		sh.quiet = listed
	}
	if sh.empty++; sh.empty == emptyPages {
		sh.empty = 0
		sh.readUntil(sh.quiet)
	}
}

func (sh *shard) readUntil(t time.Time) {
	if t.After(sh.until) {
		sh.until = t
	}
}

// confirm takes account of the list of shards: only a shard that is closed can have
// ended. Another one is read again from its place on.
func (sh *shard) confirm(closed bool) {
	if sh.ended && closed {
		sh.place = done
	}
	sh.ended = false
}

// hintOf returns the hint that a record of the stream gives; false if it is not
// about an aggregate of this store. A record without a head that decodes gives a
// hint without a head.
func (s *Store) hintOf(r *streamtypes.StreamRecord) (head.Hint, bool) {
	id, ours := s.aggregateOf(fromStream(r.Keys))
	if !ours || reserved.Is(id) {
		return head.Hint{}, false
	}
	h, err := s.decode(id, fromStream(r.NewImage))
	if err != nil {
		h = head.Head{}
	}
	return head.Hint{AggregateID: id, Head: h, Since: aws.ToTime(r.ApproximateCreationDateTime)}, true
}

// fromStream returns an item of a stream as an item of the table. Values of types
// that no field has come without their content.
func fromStream(item map[string]streamtypes.AttributeValue) map[string]types.AttributeValue {
	out := make(map[string]types.AttributeValue, len(item))
	for name, value := range item {
		switch v := value.(type) {
		case *streamtypes.AttributeValueMemberS:
			out[name] = &types.AttributeValueMemberS{Value: v.Value}
		case *streamtypes.AttributeValueMemberN:
			out[name] = &types.AttributeValueMemberN{Value: v.Value}
		case *streamtypes.AttributeValueMemberB:
			out[name] = &types.AttributeValueMemberB{Value: v.Value}
		default:
			out[name] = &types.AttributeValueMemberNULL{}
		}
	}
	return out
}
