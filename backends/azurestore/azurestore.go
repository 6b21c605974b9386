// Package azurestore keeps changesets and heads in Azure Blob Storage: both
// interfaces in one [Store].
//
// A changeset is one block blob, written by a single create-only request whose
// metadata is the header. A head is one small JSON blob, created by
// If-None-Match and replaced by If-Match on its ETag. An append therefore
// takes two requests, and one request reads a changeset, header and content.
//
// The account should be an ordinary one: general purpose v2, without
// hierarchical namespace. Any redundancy will do, as long as the client speaks
// to the primary endpoint: the secondary endpoint of a geo-redundant account
// lags behind, and a stale head is a wrong head. The containers need no public
// access, and the container of the heads must have no immutability policy.
// [Store.Provision] makes the containers and [Store.Check] looks at all this.
//
// A reply counts only with the headers that the service sends. Any other reply,
// such as a login page, is a [*SetupError]. The body of each reply has
// a limit: 1 MiB for an error, 4 MiB for a head, 16 MiB for a page of a
// listing, and the announced size for content. Redirects are not followed.
//
// The caller decides on endpoint, credentials, tracing and time limits:
//
//   - By default the SDK waits for a reply without a limit. Give calls a context
//     with a deadline, and [Options.Client] a transport with a dial timeout, so
//     that an endpoint that cannot be reached fails in seconds. The transport
//     must not retry.
//   - Reads and puts keep the retries of [Options.Client], with their time limit
//     for each try. A swap is sent once, under its context alone: with retries
//     it could meet its own first attempt and report a conflict that never was.
package azurestore

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/transport"
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

const (
	// DefaultChangesetsContainer is the container of the changesets if the
	// options do not name one.
	DefaultChangesetsContainer = "changesets"
	// DefaultHeadsContainer is the container of the heads if the options do not
	// name one.
	DefaultHeadsContainer = "aggregates"
)

// MaxPrefix is the largest size of a prefix in bytes: it leaves room for the
// longest name of a blob below it, as the service takes 1,024.
const MaxPrefix = 1024 - (len(changeset.Folder) + changeset.MaxAggregateID + len("/") + 2*(20+len("-")) + 36)

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// ChangesetsContainer is the container that holds the changesets;
	// [DefaultChangesetsContainer] by default.
	ChangesetsContainer string
	// HeadsContainer is the container that holds the heads;
	// [DefaultHeadsContainer] by default. It may be the same.
	HeadsContainer string
	// Prefix begins the names of all blobs: empty, or at most
	// [MaxPrefix] bytes of UTF-8 that end in a slash. No part between slashes
	// may be empty or end in a dot, which the service would change.
	Prefix string
	// Logger receives a line at level debug for each request: what for, which
	// blob, how long, the error; never content or credentials. By default
	// nothing is logged.
	Logger *slog.Logger
	// Client holds the SDK's own settings: transport, retries, tracing. The
	// default transport keeps 512 connections. A transport that is not an
	// [*http.Client] must not follow redirects to other hosts.
	Client service.ClientOptions
}

// Store implements both interfaces. It is safe for concurrent use and needs no
// closing. Beside the errors of the contracts its methods return
// [*SetupError] if only a change of the setup helps, and errors that have an
// *azcore.ResponseError in their chain if the service has answered.
type Store struct {
	service           *service.Client
	changesets, heads *container.Client
	prefix            string
	log               *slog.Logger
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.ChangesetsContainer = cmp.Or(out.ChangesetsContainer, DefaultChangesetsContainer)
	out.HeadsContainer = cmp.Or(out.HeadsContainer, DefaultHeadsContainer)
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// New returns a store in the account at serviceURL, such as
// https://ACCOUNT.blob.core.windows.net/. It does no I/O. If the URL holds a
// shared access signature, the credential is nil. Nil options stand for the
// defaults. A URL without a host and a bad prefix are errors, which do not hold
// the URL; arguments that the SDK refuses are a [*SetupError].
func New(serviceURL string, credential azcore.TokenCredential, options *Options) (*Store, error) {
	if u, err := url.Parse(serviceURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("azurestore: the URL of the account is not of the form https://HOST/")
	}
	return connect(options, func(guarded *service.ClientOptions) (*service.Client, error) {
		if credential == nil {
			return service.NewClientWithNoCredential(serviceURL, guarded)
		}
		return service.NewClient(serviceURL, credential, guarded)
	})
}

// NewFromConnectionString is New with endpoint and credentials from a
// connection string, as the service's own tools take it: with the account's key
// or a shared access signature.
func NewFromConnectionString(connection string, options *Options) (*Store, error) {
	return connect(options, func(guarded *service.ClientOptions) (*service.Client, error) {
		return service.NewClientFromConnectionString(connection, guarded)
	})
}

// connect makes the client itself: no other code can get between the SDK,
// which reads whole bodies, and the transport.
func connect(options *Options, newClient func(*service.ClientOptions) (*service.Client, error)) (*Store, error) {
	o := options.withDefaults()
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("azurestore: prefix %q: %w", o.Prefix, err)
	}
	guarded := o.Client
	if guarded.Transport == nil {
		guarded.Transport = defaultTransport()
	}
	guarded.Transport = wire{transport.Guard(guarded.Transport)}
	client, err := newClient(&guarded)
	if err != nil {
		return nil, &SetupError{What: "the client cannot be made", Hint: "check the connection string or the endpoint", Err: err}
	}
	s := &Store{
		service:    client,
		changesets: client.NewContainerClient(o.ChangesetsContainer),
		heads:      client.NewContainerClient(o.HeadsContainer),
		prefix:     o.Prefix,
		log:        o.Logger,
	}
	return s, nil
}

// defaultTransport is shared by all stores. A read has up to 1,024 requests
// under way, and the SDK's own transport keeps 10 connections.
var defaultTransport = sync.OnceValue(func() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConns:        512, MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	}}
})

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
