package archive

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"ropewalk/internal/finding"
)

// Folder keeps an archive in a folder of a file system that has hard links.
type Folder struct{ path string }

var _ Destination = Folder{}

// NewFolder returns the folder with that path. The folder is created with the first
// file; the folder around it must exist. NewFolder does no I/O.
func NewFolder(path string) Folder { return Folder{filepath.Clean(path)} }

// temporary ends the names of files that are being written.
const temporary = ".tmp"

// Create writes the file under a temporary name, and gives it its own name when it is
// on the disk. A link never replaces a file, as a rename would.
func (f Folder) Create(ctx context.Context, name string, content []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target := f.Locate(name)
	if err := f.makeFolders(filepath.Dir(target)); err != nil {
		return f.explain(err)
	}
	written, err := writeTemporary(target, content)
	if err != nil {
		return f.explain(err)
	}
	err = os.Link(written, target)
	if errors.Is(err, errors.ErrUnsupported) {
		err = &finding.SetupError{What: "the file system has no hard links", Hint: "archive to a folder on another file system", Err: err}
	}
	return f.explain(errors.Join(err, os.Remove(written), syncFolder(filepath.Dir(target))))
}

// explain adds a hint to an error of the file system that is no answer.
func (f Folder) explain(err error) error {
	_, ofPath := errors.AsType[*fs.PathError](err)
	_, ofLink := errors.AsType[*os.LinkError](err)
	_, explained := errors.AsType[*finding.SetupError](err)
	if !ofPath && !ofLink || explained || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &finding.SetupError{What: "the folder " + f.path + " cannot be used", Hint: "check the path, the disk, and the modes of the folder", Err: err}
}

// makeFolders makes a folder and the missing folders around it, up to the archive's
// own, and brings each to the disk, also if an interrupted process has made it.
func (f Folder) makeFolders(path string) error {
	if path != f.path {
		if err := f.makeFolders(filepath.Dir(path)); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		return &finding.SetupError{What: "there is no folder " + filepath.Dir(path), Hint: "create it, or check the path of the archive", Err: err}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// writeTemporary brings the content to the disk, under a name beside the target. Like
// the file of a store, it is for its owner alone.
func writeTemporary(target string, content []byte) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".*"+temporary)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // has no sync for folders
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Read reads the file.
func (f Folder) Read(ctx context.Context, name string, limit int64) (content []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(f.Locate(name))
	if err != nil {
		return nil, f.explain(err)
	}
	defer file.Close()
	content, err = io.ReadAll(io.LimitReader(file, limit+1))
	return content, f.explain(err)
}

// List walks the folder.
func (f Folder) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if info, err := os.Stat(f.path); err == nil && !info.IsDir() {
			yield("", &finding.SetupError{What: f.path + " is not a folder", Hint: "check the path of the archive"})
			return
		}
		err := filepath.WalkDir(f.path, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // deleted since, or the archive is new
				return nil
			}
			if err = cmp.Or(err, ctx.Err()); err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(f.path, path)
			if name = filepath.ToSlash(name); err == nil && strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return errStopped
			}
			return err
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield("", f.explain(err))
		}
	}
}

// errStopped ends a walk whose caller has seen enough.
var errStopped = errors.New("stopped")

// Delete removes the file. The folder that it leaves empty stays.
func (f Folder) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target := f.Locate(name)
	if err := os.Remove(target); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return f.explain(err)
	}
	return f.explain(syncFolder(filepath.Dir(target)))
}

// Locate returns the path of the file.
func (f Folder) Locate(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }
