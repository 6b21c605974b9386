package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// place is what the URL of a store names: the storage, whether it exists or
// not. Making a place sends no request.
type place interface {
	// open returns the storage. A missing file is created if create is set, and
	// is a [*finding.SetupError] otherwise.
	open(ctx context.Context, create bool) (*storageOf, error)
	// provision creates what is missing.
	provision(ctx context.Context) error
	// check changes nothing, and says what exists and what is missing.
	check(ctx context.Context) ([]finding.Finding, error)
	// policy returns the text of the access policy for a role, writer, reader
	// or maintainer. A storage without policies returns an error of class usage.
	policy(role string) (string, error)
}

// objects is what the command needs of the storage of changesets.
type objects interface {
	changeset.Store
	changeset.Lister
	changeset.Deleter
	changeset.Locator
}

// heads is what the command needs of the storage of heads.
type heads interface {
	head.Store
	head.Locator
}

// storageOf is an open storage: both seams, and how to close them.
type storageOf struct {
	objects objects
	heads   heads
	close   func() error
}

// store is an open store with the seams that it stands on. It must be closed.
type store struct {
	*ropewalk.Store
	objects objects
	heads   heads
	url     string
	log     *slog.Logger // nil unless --verbose
	close   func() error
}

const defaultStore = "file:ropewalk.db"

// storeURL returns the URL of the store that the command works on.
func (a *app) storeURL() string {
	switch {
	case a.store != "":
		return a.store
	case a.Env["ROPEWALK_STORE"] != "":
		return a.Env["ROPEWALK_STORE"]
	default:
		return defaultStore
	}
}

// reading calls work with the store, which must be there.
func (a *app) reading(ctx context.Context, work func(*store) error) error {
	return a.with(ctx, a.storeURL(), false, work)
}

// writing calls work with the store, which is created where it is a file that
// is missing.
func (a *app) writing(ctx context.Context, work func(*store) error) error {
	return a.with(ctx, a.storeURL(), true, work)
}

func (a *app) with(ctx context.Context, rawURL string, create bool, work func(*store) error) (err error) {
	s, err := a.openURL(ctx, rawURL, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return work(s)
}

// openURL opens the store of any URL, and creates it where create says so and
// it is a file that is missing.
func (a *app) openURL(ctx context.Context, rawURL string, create bool) (*store, error) {
	p, err := a.place(rawURL, a.Env)
	if err != nil {
		return nil, err
	}
	opened, err := p.open(ctx, create)
	if err != nil {
		return nil, err
	}
	s := &store{objects: opened.objects, heads: opened.heads, url: rawURL, close: opened.close}
	if a.verbose {
		s.log = a.logger()
		s.objects, s.heads = logged(s.log, s.objects, s.heads)
	}
	return s.with(ropewalk.Options{}), nil
}

// with returns the same store with other options.
func (s *store) with(options ropewalk.Options) *store {
	other := *s
	options.Logger = s.log
	other.Store = ropewalk.New(s.objects, s.heads, &options)
	return &other
}

// parsePlace reads the URL of a store. Its errors are failures of usage.
func parsePlace(rawURL string, env map[string]string) (place, error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return nil, cliexit.WithHint(cliexit.Usagef("store %q is not a URL", rawURL), "a SQLite file is %s", ui.Quote("file:"+rawURL))
	}
	switch scheme {
	case "file":
		return parseFile(rawURL, rest)
	case "mem":
		if rest != "" {
			return nil, cliexit.Usagef("store %q: mem: stands alone", rawURL)
		}
		return memory{}, nil
	case "s3", "aws":
		return parseAWS(rawURL)
	case "azure":
		return parseAzure(rawURL, env)
	default:
		return nil, cliexit.Usagef("store %q: %q is not one of file, mem, s3, aws and azure", rawURL, scheme)
	}
}
