package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/storeurl"
)

const defaultStore = "file:ropewalk.db"

// storeFlags are the flags that name the store of a command.
type storeFlags struct {
	std     *ui.Streams
	value   string // --store
	verbose bool   // --verbose
	// others are the URLs of further stores that the command works with.
	others []string
	// parse reads the URL of a store: [location.Parse], except in tests.
	parse func(rawURL string, env map[string]string) (location.Location, error)
}

// url returns the URL of the store.
func (f *storeFlags) url() string { return cmp.Or(f.value, f.std.Env["ROPEWALK_STORE"], defaultStore) }

// location returns the storage that the URL names. It sends no request.
func (f *storeFlags) location() (location.Location, error) { return f.parse(f.url(), f.std.Env) }

// sqliteFile returns the SQLite file that the URL names. The command works with
// no other storage.
func (f *storeFlags) sqliteFile(command string) (location.SQLiteFile, error) {
	l, err := f.location()
	if err != nil {
		return "", err
	}
	file, ok := l.(location.SQLiteFile)
	if !ok {
		return "", cliexit.WithHint(cliexit.Usagef("%s is for stores in a SQLite file, file:PATH, and the store is another one", command),
			"docs/restore.md says how each storage is backed up")
	}
	return file, nil
}

// store is an open store, and the two stores that it is made of.
type store struct {
	*ropewalk.Store
	objects location.Objects
	heads   location.Heads
	layout  storeurl.Layout
	log     *slog.Logger // nil unless --verbose
	close   func() error // nil if there is nothing to close
}

// withStore calls work with the store, which must exist.
func withStore(ctx context.Context, flags *storeFlags, work func(*store) error) error {
	return withURL(ctx, flags, flags.url(), false, work)
}

// withNewStore calls work with the store. It creates a SQLite file that is
// missing.
func withNewStore(ctx context.Context, flags *storeFlags, work func(*store) error) error {
	return withURL(ctx, flags, flags.url(), true, work)
}

// withURL calls work with the store of any URL, and closes the store.
func withURL(ctx context.Context, flags *storeFlags, rawURL string, create bool, work func(*store) error) (err error) {
	s, err := flags.open(ctx, rawURL, create)
	if err != nil {
		return err
	}
	if s.close != nil {
		defer func() { err = errors.Join(err, s.close()) }()
	}
	return work(s)
}

// open opens the store of any URL. It creates a SQLite file that is missing if
// create is set.
func (f *storeFlags) open(ctx context.Context, rawURL string, create bool) (*store, error) {
	l, err := f.parse(rawURL, f.std.Env)
	if err != nil {
		return nil, err
	}
	layout, err := location.Layout(rawURL)
	if err != nil {
		return nil, err
	}
	opened, err := l.Open(ctx, create)
	if err != nil {
		return nil, err
	}
	s := &store{objects: opened.Objects, heads: opened.Heads, layout: layout, close: opened.Close}
	if f.verbose {
		s.log = location.NewLogger(f.std.Err, f.std.Redacted)
		s.objects, s.heads = location.Logged(s.log, s.objects, s.heads)
	}
	return s.with(ropewalk.Options{}), nil
}

// with returns the same store with other options. The parameters of the URL are among
// them.
func (s *store) with(options ropewalk.Options) *store {
	other := *s
	options.Logger = s.log
	options.Packed = options.Packed || s.layout.Packed
	options.TipSize = cmp.Or(options.TipSize, s.layout.TipSize)
	other.Store = ropewalk.New(s.objects, s.heads, &options)
	return &other
}
