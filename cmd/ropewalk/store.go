package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// place is what the URL of a store names: the storage, whether it is there or
// not. Making a place sends no request.
type place interface {
	// open returns the storage. Where that is a file that is missing, it is
	// created if create says so, and is a [*finding.SetupError] otherwise.
	open(ctx context.Context, create bool) (*storageOf, error)
	// provision creates what is missing.
	provision(ctx context.Context) error
	// check changes nothing, and says what is there and what is not.
	check(ctx context.Context) ([]finding.Finding, error)
	// policy returns the text of the access policy for a role, writer, reader
	// or maintainer; the error of a storage that has none is of class usage.
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
	case a.env["ROPEWALK_STORE"] != "":
		return a.env["ROPEWALK_STORE"]
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
	p, err := parsePlace(rawURL)
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
func parsePlace(rawURL string) (place, error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return nil, withUsageHint(usagef("store %q is not a URL", rawURL), "a SQLite file is %s", quote("file:"+rawURL))
	}
	switch scheme {
	case "file":
		return parseFile(rawURL, rest)
	case "mem":
		if rest != "" {
			return nil, usagef("store %q: mem: stands alone", rawURL)
		}
		return memory{}, nil
	default:
		return nil, usagef("store %q: %q is not one of file, mem, s3, aws and azure", rawURL, scheme)
	}
}

// parseFile reads file:PATH, with or without the // of a URL before an absolute path.
func parseFile(rawURL, path string) (place, error) {
	if host, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(host, "/") {
			return nil, usagef("store %q: a file has no host: write file:PATH", rawURL)
		}
		path = host
	}
	if path == "" || strings.ContainsAny(path, "?#") {
		return nil, usagef("store %q: want file:PATH, without parameters", rawURL)
	}
	return sqliteFile(filepath.Clean(path)), nil
}

// parameters reads the query of a store's URL. A parameter that is not known,
// or is there twice, is a failure of usage.
func parameters(u *url.URL, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, usagef("store %q: %w", u.Redacted(), err)
	}
	p := map[string]string{}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, withUsageHint(usagef("store %q: parameter %q is not known", u.Redacted(), name), "known are: %s", strings.Join(known, ", "))
		}
		if len(all) > 1 {
			return nil, usagef("store %q: parameter %q is there more than once", u.Redacted(), name)
		}
		p[name] = all[0]
	}
	return p, nil
}

// sqliteFile is the store in a SQLite file.
type sqliteFile string

func (f sqliteFile) open(_ context.Context, create bool) (*storageOf, error) {
	s, err := sqlitestore.Open(string(f), &sqlitestore.Options{MustExist: !create})
	if err != nil {
		return nil, f.setUpError(err)
	}
	return &storageOf{s, s, s.Close}, nil
}

// setUpError says what to do about a file that cannot be opened.
func (f sqliteFile) setUpError(err error) error {
	path := string(f)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &finding.SetupError{What: "there is no store at " + path, Hint: "ropewalk init creates it, and so does the first append or import; --store names another one"}
	case errors.Is(err, fs.ErrPermission):
		return &finding.SetupError{What: "access to " + path + " is denied", Hint: "check the modes of the file and of its folder", Err: err}
	case errors.Is(err, sqlitestore.ErrNotRopewalk):
		return &finding.SetupError{What: path + " is not a store", Hint: "it was left as it is; --store names another one", Err: err}
	default:
		return err
	}
}

func (f sqliteFile) provision(ctx context.Context) error {
	s, err := f.open(ctx, true)
	if err != nil {
		return err
	}
	return s.close()
}

func (f sqliteFile) check(ctx context.Context) ([]finding.Finding, error) {
	findings, err := sqlitestore.CheckFile(ctx, string(f))
	if err != nil {
		return nil, f.setUpError(err)
	}
	all := []finding.Finding{}
	for _, text := range findings {
		all = append(all, finding.Finding{Name: "file " + string(f), Detail: text})
	}
	if len(all) == 0 {
		all = append(all, finding.Finding{Name: "file " + string(f), OK: true, Detail: "ok"})
	}
	return all, nil
}

func (f sqliteFile) policy(string) (string, error) { return "", noPolicy("file:") }

// memory is a store that ends with the command.
type memory struct{}

func (memory) open(context.Context, bool) (*storageOf, error) {
	s := memstore.New()
	return &storageOf{s, s, func() error { return nil }}, nil
}

func (memory) provision(context.Context) error { return nil }

func (memory) check(context.Context) ([]finding.Finding, error) {
	return []finding.Finding{{Name: "memory", OK: true, Detail: "ok"}}, nil
}

func (memory) policy(string) (string, error) { return "", noPolicy("mem:") }

func noPolicy(scheme string) error { return usagef("a store of %s has no access policies", scheme) }
