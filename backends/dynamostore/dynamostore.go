// Package dynamostore keeps heads in one Amazon DynamoDB table, an item for
// each aggregate. Changesets belong elsewhere, in S3 for example.
//
// A head is loaded by a consistent GetItem and swapped by a conditional
// UpdateItem, which tests revision, version, changeset ID, digest and object index of
// the stored item, and leaves attributes of newer versions alone. If the condition
// fails, DynamoDB returns the item with the error, so that a conflict needs no
// further request. Several heads are swapped together by TransactWriteItems, with the
// same conditions.
//
// The caller makes the client, and so decides on credentials, endpoint,
// region, tracing and time limits:
//
//   - The SDK waits for an answer without a limit of its own. Give calls a
//     context with a deadline, and the client an HTTP client with a dial
//     timeout, so that an endpoint that cannot be reached fails in seconds.
//   - Loads, listings and hints keep the retries of the client. A swap never does: see
//     [Store.Swap]. The HTTP client must not retry on its own.
//   - Redirects are not followed, and bodies are bounded, with any HTTP
//     client: a reply that DynamoDB cannot have sent is a [*SetupError].
//
// The table must not be a global table with eventual consistency, whose last
// writer wins, and must have no time to live: [Store.Check] looks for both.
package dynamostore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

var (
	_ head.Store      = (*Store)(nil)
	_ head.Transactor = (*Store)(nil)
	_ head.Locator    = (*Store)(nil)
	_ head.Source     = (*Store)(nil)
	_ head.Tipper     = (*Store)(nil)
)

// MaxPrefix is the largest size of a prefix in bytes: it leaves room for the
// longest aggregate ID, as DynamoDB takes 2,048 bytes for a partition key.
const MaxPrefix = 2048 - changeset.MaxAggregateID

// Finding is one result of [Store.Check].
type Finding = finding.Finding

// SetupError is wrapped by every error that only a change of the setup ends:
// the table is missing, access is denied, there are no credentials, the
// endpoint cannot be reached. It carries a hint.
type SetupError = finding.SetupError

// Options configures a [Store]. The zero value is ready for use.
type Options struct {
	// Prefix stands before every aggregate ID in the partition key: empty, or
	// ending in "/", at most [MaxPrefix] bytes. Stores with different prefixes
	// can share a table; their listings read all of it.
	Prefix string
	// Recovery says that Provision switches point-in-time recovery on, and that Check
	// finds fault with a table without it. Nothing switches it off. The heads of packed
	// chains have contents, which are in no object: set it for them.
	Recovery bool
	// Protection is the same for the deletion protection of the table.
	Protection bool
	// Streams is the client for DynamoDB Streams, which only [Store.Hints] uses. By
	// default it is made from the options of the table's client: the same
	// credentials, region, HTTP client and, if one is set, the same BaseEndpoint. It
	// is needed only if that endpoint does not serve DynamoDB Streams, as an
	// interface endpoint of a VPC does not.
	Streams *dynamodbstreams.Client
	// Logger receives each repetition and provisioning, at level debug, and each
	// loss of hints; never content or credentials. Nil means none.
	Logger *slog.Logger
}

// Store keeps heads in one table. It is safe for concurrent use.
type Store struct {
	client  *dynamodb.Client
	calls   *awscall.Client[dynamodb.Options]
	streams streams
	table   string
	options Options
	log     *slog.Logger
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// New returns a store in the table, which need not exist yet. It makes no
// request. A missing client or table name and a bad prefix are errors; nil
// options are the zero Options.
func New(client *dynamodb.Client, table string, options *Options) (*Store, error) {
	o := options.withDefaults()
	if client == nil || table == "" {
		return nil, errors.New("dynamostore: a client and the name of a table are needed")
	}
	if err := awscall.CheckPrefix(o.Prefix, MaxPrefix); err != nil {
		return nil, fmt.Errorf("dynamostore: %w", err)
	}
	s := &Store{client: client, table: table, options: o, log: o.Logger}
	s.calls, s.streams = s.newClient(), s.newStreams()
	return s, nil
}

// LocateHead returns the head's item as dynamodb://table/key.
func (s *Store) LocateHead(aggregateID string) string {
	return "dynamodb://" + s.table + "/" + s.key(aggregateID)
}

// key returns the partition key of the aggregate's item.
func (s *Store) key(aggregateID string) string {
	return s.options.Prefix + changeset.Escape(aggregateID)
}
