// Package s3store keeps changesets in Amazon S3, or in any S3-compatible store
// that honours conditional writes. It can also keep the heads, so that no
// database is needed beside it.
//
// A changeset is one object, written by one PutObject: the content is the
// body, the header the user metadata, If-None-Match * makes it create-only,
// and S3 checks the SHA-256 that comes with it. A head is a JSON object,
// created by If-None-Match * and swapped by If-Match on its ETag. Nothing else
// is stored.
//
// The caller makes the client, and so decides on credentials, endpoint,
// region, tracing and time limits:
//
//   - The SDK waits for an answer without a limit of its own. Give calls a
//     context with a deadline, and the client an HTTP client with a dial
//     timeout, so that an endpoint that cannot be reached fails in seconds.
//   - Puts, reads and listings keep the retries of the client. A swap of a head
//     never does: see [Store.Swap]. The HTTP client must not retry on its own.
//   - Redirects are not followed, and bodies are bounded, with any HTTP
//     client: a reply that S3 cannot have sent is a [*SetupError].
//   - The policy must allow s3:ListBucket on the bucket even to readers. S3
//     otherwise denies access where it should say that an object is missing.
//
// Directory buckets (S3 Express) are not supported: they list in no order.
package s3store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

var (
	_ changeset.Store   = (*Store)(nil)
	_ changeset.Lister  = (*Store)(nil)
	_ changeset.Deleter = (*Store)(nil)
	_ changeset.Locator = (*Store)(nil)
	_ head.Refresher    = (*Store)(nil)
	_ head.Tagger       = (*Store)(nil)
	_ head.Tipper       = (*Store)(nil)
	_ head.Locator      = (*Store)(nil)
)

// MaxPrefix is the largest size of a prefix in bytes: it leaves room for the
// longest name of an object, as S3 takes 1,024 bytes for a key.
const MaxPrefix = 1024 - (len(changeset.Folder) + changeset.MaxAggregateID + len("/") + 2*(20+len("-")) + 36)

// Finding is one result of [Store.Check].
type Finding = finding.Finding

// SetupError is wrapped by every error that only a change of the setup ends:
// the bucket is missing or in another region, access is denied, there are no
// credentials, the endpoint cannot be reached. It carries a hint.
type SetupError = finding.SetupError

// Options configures a [Store]. The zero value is ready for use.
type Options struct {
	// Prefix stands before the name of every object: empty, or ending in "/",
	// at most [MaxPrefix] bytes.
	Prefix string
	// Versioning says that Provision switches the bucket's versioning on, and that
	// Check finds fault with a bucket without it. Nothing switches it off. The heads of
	// packed chains have contents, which are in no other object: set it if they are in
	// this bucket.
	Versioning bool
	// Logger receives each repetition and provisioning, at level debug; never
	// content or credentials. Nil means none.
	Logger *slog.Logger
}

// Store keeps changesets and heads in one bucket. It implements both interfaces,
// and is safe for concurrent use.
type Store struct {
	client  *s3.Client
	calls   *awscall.Client[s3.Options]
	bucket  string
	options Options
	log     *slog.Logger
	unsized chan struct{} // bounds the contents of unknown size under way
}

// maxUnsized is how many contents of unknown size are read at the same time.
const maxUnsized = 4

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// New returns a store in the bucket, which need not exist yet. It makes no
// request. A missing client or bucket name and a bad prefix are errors; nil
// options are the zero Options.
func New(client *s3.Client, bucket string, options *Options) (*Store, error) {
	o := options.withDefaults()
	if client == nil || bucket == "" {
		return nil, errors.New("s3store: a client and the name of a bucket are needed")
	}
	if err := awscall.CheckPrefix(o.Prefix, MaxPrefix); err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	s := &Store{client: client, bucket: bucket, options: o, log: o.Logger, unsized: make(chan struct{}, maxUnsized)}
	s.calls = s.newClient()
	return s, nil
}

// Locate returns the changeset's object as s3://bucket/key.
func (s *Store) Locate(ref changeset.Ref) string { return s.locate(ref.ObjectName()) }

// LocateHead returns the head's object as s3://bucket/key.
func (s *Store) LocateHead(aggregateID string) string {
	return s.locate(head.ObjectName(aggregateID))
}

func (s *Store) locate(name string) string { return "s3://" + s.bucket + "/" + *s.key(name) }

// key returns the key of the object with that name.
func (s *Store) key(name string) *string {
	key := s.options.Prefix + name
	return &key
}
