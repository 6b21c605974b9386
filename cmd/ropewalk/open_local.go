package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/finding"
)

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
	case is[*fs.PathError](err):
		return &finding.SetupError{What: path + " cannot be opened", Hint: "check the path", Err: err}
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
