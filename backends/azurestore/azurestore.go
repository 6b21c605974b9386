// Package azurestore keeps changesets and heads in Azure Blob Storage: both
// seams in one [Store].
//
// A changeset is one block blob, written by a single create-only request whose
// metadata is the header. A head is one small JSON blob, created by
// If-None-Match and replaced by If-Match on its ETag. An append is so two
// requests, and a changeset is read, header and content, by one.
//
// The account should be an ordinary one: general purpose v2, without
// hierarchical namespace. Any redundancy will do, as long as the client speaks
// to the primary endpoint: the secondary one of a geo-redundant account lags
// behind, and a stale head is a wrong one. The containers need no public
// access, and the one of the heads must have no immutability policy.
// [Store.Provision] makes the containers and [Store.Check] looks at all this.
//
// The caller makes the client, and so decides on credentials, endpoint, tracing
// and time limits:
//
//   - By its defaults the SDK waits for a reply without a limit. Give calls a
//     context with a deadline, and the client a transport with a dial timeout,
//     so that an endpoint that cannot be reached fails in seconds. The
//     transport must not retry by itself.
//   - Reads and puts keep the client's retries, with their time limit for each
//     try. A swap is sent once, under its context alone: with retries it could
//     meet its own first attempt and report a conflict that never was.
//   - The transport should keep as many idle connections to a host as reads are
//     to run in parallel.
package azurestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"ropewalk/changeset"
	"ropewalk/head"
)

var (
	_ changeset.Store   = (*Store)(nil)
	_ changeset.Lister  = (*Store)(nil)
	_ changeset.Deleter = (*Store)(nil)
	_ changeset.Locator = (*Store)(nil)
	_ head.Refresher    = (*Store)(nil)
	_ head.Refresher    = (*Store)(nil)
	_ head.Locator      = (*Store)(nil)
)

const (
	// DefaultChangesetsContainer is the container of the changesets where the
	// options name none.
	DefaultChangesetsContainer = "changesets"
	// DefaultHeadsContainer is the container of the heads where the options
	// name none.
	DefaultHeadsContainer = "aggregates"
)

// MaxPrefix is the largest size of a prefix in bytes: it leaves room for the
// longest name of a blob below it, as the service takes 1,024.
const MaxPrefix = 1024 - (len(changeset.Folder) + changeset.MaxAggregateID + len("/") + 20 + len("-") + 36)

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// ChangesetsContainer is the container that holds the changesets;
	// [DefaultChangesetsContainer] by default.
	ChangesetsContainer string
	// HeadsContainer is the container that holds the heads;
	// [DefaultHeadsContainer] by default. It may be the same.
	HeadsContainer string
	// Prefix is what the names of all blobs begin with: empty, or at most
	// [MaxPrefix] bytes of UTF-8 that end in a slash. No part between slashes
	// may be empty or end in a dot, which the service would change.
	Prefix string
	// Logger receives a line at level debug for each request: what for, which
	// blob, how long, the error; never content or credentials. By default
	// nothing is logged.
	Logger *slog.Logger
}

// Store implements both seams. It is safe for concurrent use and needs no
// closing. Beside the errors of the seams' contracts its methods return
// [*SetupError] where only a change of the set-up helps, and errors that have
// an *azcore.ResponseError in their chain where the service has answered.
type Store struct {
	service           *service.Client
	changesets, heads *container.Client
	prefix            string
	log               *slog.Logger
}

// New returns a store over the client's account. It does no I/O. Nil options
// stand for the defaults; a missing client and a bad prefix are errors. For an
// [azblob.Client] pass its ServiceClient.
//
// [azblob.Client]: https://pkg.go.dev/github.com/Azure/azure-sdk-for-go/sdk/storage/azblob#Client
func New(client *service.Client, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	if client == nil {
		return nil, errors.New("azurestore: a client is needed")
	}
	if err := checkPrefix(opts.Prefix); err != nil {
		return nil, fmt.Errorf("azurestore: prefix %q: %w", opts.Prefix, err)
	}
	s := &Store{
		service:    client,
		changesets: client.NewContainerClient(cmp.Or(opts.ChangesetsContainer, DefaultChangesetsContainer)),
		heads:      client.NewContainerClient(cmp.Or(opts.HeadsContainer, DefaultHeadsContainer)),
		prefix:     opts.Prefix,
		log:        opts.Logger,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

func checkPrefix(prefix string) error {
	odd := func(part string) bool { return part == "" || strings.HasSuffix(part, ".") }
	switch {
	case prefix == "":
		return nil
	case !strings.HasSuffix(prefix, "/"):
		return errors.New("it does not end in a slash")
	case len(prefix) > MaxPrefix:
		return fmt.Errorf("it has %d bytes, more than %d", len(prefix), MaxPrefix)
	case !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, unicode.IsControl) || strings.Contains(prefix, `\`):
		return errors.New("it is not UTF-8 without control characters and backslashes")
	case slices.ContainsFunc(strings.Split(strings.TrimSuffix(prefix, "/"), "/"), odd):
		return errors.New("a part of it is empty or ends in a dot")
	}
	return nil
}

// Locate returns the URL of the changeset's blob, without any query.
func (s *Store) Locate(ref changeset.Ref) string { return location(s.changeset(ref).URL()) }

// LocateHead returns the URL of the head's blob, without any query.
func (s *Store) LocateHead(aggregateID string) string { return location(s.head(aggregateID).URL()) }

func (s *Store) changeset(ref changeset.Ref) *blockblob.Client {
	return s.changesets.NewBlockBlobClient(s.prefix + ref.ObjectName())
}

func (s *Store) head(aggregateID string) *blockblob.Client {
	return s.heads.NewBlockBlobClient(s.prefix + head.ObjectName(aggregateID))
}

// location makes a client's URL readable, with the slashes of blob names as
// they are, and free of a shared access signature.
func location(clientURL string) string {
	u, err := url.Parse(clientURL)
	if err != nil {
		return "a blob with an invalid URL"
	}
	u.User, u.RawQuery = nil, ""
	return strings.ReplaceAll(u.String(), "%2F", "/")
}

// do sends one request, unless the context has already ended, logs it, and
// makes its error one that people can read. op says what for, and at where.
func do[T any](ctx context.Context, s *Store, op, at string, request func() (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var none T
		return none, explain(op, location(at), err)
	}
	began := time.Now()
	response, err := request()
	err = explain(op, location(at), err)
	s.log.DebugContext(ctx, "azure request", "op", op, "at", location(at), "took", time.Since(began), "err", err)
	return response, err
}

// pages yields the pages of a listing, or its first error.
func pages[T any](ctx context.Context, s *Store, c *container.Client, pager *runtime.Pager[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for pager.More() {
			page, err := do(ctx, s, "list", c.URL(), func() (T, error) { return pager.NextPage(ctx) })
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}
