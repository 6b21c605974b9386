// Package inspector is a read-only web site about a store, for the browser of one
// person on the same machine: its pages, its one script and its one style sheet are
// part of the program, and no page loads anything from elsewhere.
//
// A [Source] knows the store; this package draws what it returns. A page is served
// only to a browser that has opened the secret link ([Site.Link]), under the name of the
// loopback address that the command listens on, and no page allows anything except the
// site's own files: see guard.
package inspector

import (
	"context"
	"embed"
	"html/template"
	"iter"
	"net/http"
	"time"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// Source answers the questions of the pages. It only reads. Its methods are called
// concurrently. References and IDs are what a person may type; the errors of a bad
// one are explained like all others.
type Source interface {
	// Heads lists at most limit aggregates with a prefix, after an ID if that is not empty.
	Heads(ctx context.Context, prefix, after string, limit int) (Heads, error)
	// Chain returns the latest versions of a chain. If at is not empty, it is a version or
	// a time, and the chain is as it was then.
	Chain(ctx context.Context, id, at string, limit uint64) (Chain, error)
	// Changeset returns the changeset that a reference names, proved.
	Changeset(ctx context.Context, ref string) (Changeset, error)
	// Diff compares the contents of two changesets.
	Diff(ctx context.Context, from, to string) (Diff, error)
	// Feed returns where the feed and the subscriptions stand.
	Feed(ctx context.Context) (Feed, error)
	// Follow yields the changes of an aggregate, or of all for an empty ID, after a position,
	// or from now on for an empty position. It waits for new changes until the context ends.
	Follow(ctx context.Context, id, position string) iter.Seq2[Change, error]
	// Explain returns an error in words.
	Explain(ctx context.Context, err error) Failure
}

// Options configure a [Site].
type Options struct {
	// Store is the URL of the store, without secrets.
	Store string
	// Address is the host and the port that the site is reached at.
	Address string
	// Quiet is the time after which a stream of changes without a change sends a sign of
	// life; 15 s if zero.
	Quiet time.Duration
}

// Site is the web site. It is safe for concurrent use.
type Site struct {
	source  Source
	options Options
	guard   *guard
	handler http.Handler
}

//go:embed assets
var assets embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"count": func(n int) string { return ui.Thousands(int64(n)) },
}).ParseFS(assets, "assets/*.html"))

// New returns the site of a store, with a new secret.
func New(source Source, options Options) *Site {
	if options.Quiet == 0 {
		options.Quiet = 15 * time.Second
	}
	s := &Site{source: source, options: options, guard: newGuard(options.Address)}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.heads)
	mux.HandleFunc("/chain", s.chain)
	mux.HandleFunc("/changeset", s.changeset)
	mux.HandleFunc("/diff", s.diff)
	mux.HandleFunc("/feed", s.feed)
	mux.HandleFunc("/live", s.live)
	mux.HandleFunc("/changes", s.changes)
	mux.HandleFunc("/assets/{name}", asset)
	mux.HandleFunc("/", s.unknown)
	s.handler = s.guard.before(mux)
	return s
}

// Link returns the link that opens the site. A browser that has the link can read the store.
func (s *Site) Link() string {
	return "http://" + s.options.Address + "/?token=" + s.guard.token
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
