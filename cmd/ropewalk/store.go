package main

import (
	"context"
	"errors"
	"log/slog"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/location"
)

// store is an open store with the seams that it stands on. It must be closed.
type store struct {
	*ropewalk.Store
	objects location.Objects
	heads   location.Heads
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
	if s.close != nil {
		defer func() { err = errors.Join(err, s.close()) }()
	}
	return work(s)
}

// openURL opens the store of any URL, and creates it where create says so and
// it is a file that is missing.
func (a *app) openURL(ctx context.Context, rawURL string, create bool) (*store, error) {
	p, err := a.place(rawURL, a.Env)
	if err != nil {
		return nil, err
	}
	opened, err := p.Open(ctx, create)
	if err != nil {
		return nil, err
	}
	s := &store{objects: opened.Objects, heads: opened.Heads, close: opened.Close}
	if a.verbose {
		s.log = location.NewLogger(a.Err, a.Redacted)
		s.objects, s.heads = location.Logged(s.log, s.objects, s.heads)
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
