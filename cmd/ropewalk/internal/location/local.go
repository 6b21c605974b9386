package location

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/finding"
)

// parseFile reads file:PATH, with or without the // of a URL before an absolute path.
func parseFile(rawURL, path string) (Location, error) {
	if host, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(host, "/") {
			return nil, cliexit.Usagef("store %q: a file has no host: write file:PATH", rawURL)
		}
		path = host
	}
	if path == "" || strings.ContainsAny(path, "?#") {
		return nil, cliexit.Usagef("store %q: want file:PATH, or file:PATH?format=packed", rawURL)
	}
	return SQLiteFile(filepath.Clean(path)), nil
}

// SQLiteFile is the store in a SQLite file.
type SQLiteFile string

func (f SQLiteFile) Open(_ context.Context, create bool) (*Opened, error) {
	s, err := sqlitestore.Open(string(f), &sqlitestore.Options{MustExist: !create})
	if err != nil {
		return nil, f.setUpError(err)
	}
	return &Opened{Objects: s, Heads: s, Close: s.Close}, nil
}

// setUpError adds a hint to the error of a file that cannot be opened.
func (f SQLiteFile) setUpError(err error) error {
	path := string(f)
	missing, isMissing := errors.AsType[*sqlitestore.MissingError](err)
	_, isPath := errors.AsType[*fs.PathError](err)
	switch {
	case isMissing && missing.Folder != "":
		return &finding.SetupError{What: missing.Error(), Hint: "create the folder, or check the path; --store names another store"}
	case isMissing && missing.Target != "":
		return &finding.SetupError{What: missing.Error(), Hint: "remove the link, or check where it points; --store names another store"}
	case isMissing:
		return &finding.SetupError{What: "there is no store at " + path, Hint: "ropewalk init creates it, and so does the first append or import; --store names another one"}
	case errors.Is(err, fs.ErrPermission):
		return &finding.SetupError{What: "access to " + path + " is denied", Hint: "SQLite writes to the file and its folder, also to read: check the modes of both", Err: err}
	case errors.Is(err, sqlitestore.ErrNotRopewalk):
		return &finding.SetupError{What: path + " is not a store", Hint: "it was left as it is; --store names another one", Err: err}
	case isPath, errors.Is(err, sqlitestore.ErrUnavailable):
		return &finding.SetupError{What: path + " cannot be opened", Hint: "check the path, the disk and the modes of the file and its folder", Err: err}
	default:
		return err
	}
}

// Migrate brings a file of an older version to the tables of this version.
func (f SQLiteFile) Migrate(ctx context.Context) error {
	if err := sqlitestore.Migrate(ctx, string(f), nil); err != nil {
		return f.setUpError(err)
	}
	return nil
}

// BackUp copies the store to a new file. It leaves an existing file as it is.
func (f SQLiteFile) BackUp(ctx context.Context, file string) (err error) {
	s, err := sqlitestore.Open(string(f), &sqlitestore.Options{MustExist: true})
	if err != nil {
		return f.setUpError(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = s.Backup(ctx, file)
	_, isMissing := errors.AsType[*sqlitestore.MissingError](err)
	switch {
	case errors.Is(err, fs.ErrExist):
		return cliexit.WithHint(cliexit.Usagef("%s exists already, and was left as it is", file), "name a new file")
	case isMissing:
		return &finding.SetupError{What: err.Error(), Hint: "create the folder, or name another file"}
	default:
		return err
	}
}

// Restore replaces the store by a backup, and returns the name of the file that
// keeps the former store.
func (f SQLiteFile) Restore(ctx context.Context, file string) (former string, err error) {
	former, err = sqlitestore.Restore(ctx, file, string(f))
	missing, isMissing := errors.AsType[*sqlitestore.MissingError](err)
	_, isCorrupt := errors.AsType[*ropewalk.CorruptError](err)
	switch {
	case isMissing && missing.Folder == "":
		return "", &finding.SetupError{What: "there is no backup at " + file, Hint: "ropewalk backup writes one", Err: err}
	case isMissing:
		return "", f.setUpError(err)
	case errors.Is(err, sqlitestore.ErrBusy):
		return "", &finding.SetupError{What: "a program has " + string(f) + " open", Hint: "stop every program that uses the store, and run it again", Err: err}
	case errors.Is(err, sqlitestore.ErrNotRopewalk):
		return "", &finding.SetupError{What: file + " is not a backup of a store", Hint: "nothing was changed", Err: err}
	case errors.Is(err, sqlitestore.ErrForeignWAL):
		return "", err
	case isCorrupt:
		return "", cliexit.WithHint(err, "nothing was changed")
	default:
		return former, err
	}
}

func (f SQLiteFile) Provision(ctx context.Context) error {
	s, err := f.Open(ctx, true)
	if err != nil {
		return err
	}
	return s.Close()
}

func (f SQLiteFile) Check(ctx context.Context) ([]finding.Finding, error) {
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

func (f SQLiteFile) Policy(string) (string, error) { return "", noPolicy("file:") }

// memory is a store in memory. It ends with the command.
type memory struct{}

func (memory) Open(context.Context, bool) (*Opened, error) {
	s := memstore.New()
	return &Opened{Objects: s, Heads: s}, nil
}

func (memory) Provision(context.Context) error { return nil }

func (memory) Check(context.Context) ([]finding.Finding, error) {
	return []finding.Finding{{Name: "memory", OK: true, Detail: "ok"}}, nil
}

func (memory) Policy(string) (string, error) { return "", noPolicy("mem:") }

func noPolicy(scheme string) error {
	return cliexit.Usagef("a store of %s has no access policies", scheme)
}
