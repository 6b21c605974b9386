package cache

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"ropewalk/changeset"
)

// disk keeps one file for each changeset, in a folder for each aggregate. Which
// files go when there are too many bytes the index decides, which is in memory.
// A nil disk keeps nothing.
type disk struct {
	dir   string
	bytes int64
	index *otter.Cache[string, uint32] // sizes by path below dir
	log   *slog.Logger
	slots chan struct{} // taken by who works with a file, each of whom holds a thread
}

const (
	temporary = ".new-" // begins the name of a file that is being written
	stale     = time.Hour
	maxHeader = 64 << 10
	working   = 16 // with files at once
)

func openDisk(dir string, bytes int64, log *slog.Logger) (*disk, error) {
	dir, err := prepareFolder(dir)
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, bytes: bytes, log: log, slots: make(chan struct{}, working)}
	d.index, err = otter.New(&otter.Options[string, uint32]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ string, size uint32) uint32 { return size },
		Executor:      func(work func()) { work() },
		OnDeletion: func(e otter.DeletionEvent[string, uint32]) {
			if e.WasEvicted() {
				d.delete(e.Key)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return d, d.scan()
}

// scan learns which files exist, deletes what a crash has left, and checks that
// only this user can write to the folders.
func (d *disk) scan() error {
	return filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		if absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		switch {
		case absent(err): // deleted in the meantime
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			return checkFolder(path, info)
		}
		d.found(path, info)
		return nil
	})
}

// found takes a file into the index, unless it is not ours.
func (d *disk) found(path string, info fs.FileInfo) {
	name, _ := filepath.Rel(d.dir, path)
	switch {
	case !info.Mode().IsRegular():
		d.log.Warn("the cache's folder holds something else than files", "file", name, "mode", info.Mode())
	case !strings.HasPrefix(info.Name(), temporary):
		d.index.Set(name, uint32(min(info.Size(), d.bytes)))
	case time.Since(info.ModTime()) > stale:
		d.delete(name)
	}
}

// name returns the path of a changeset's file below the folder.
func name(ref changeset.Ref) string {
	return filepath.FromSlash(strings.TrimPrefix(ref.ObjectName(), changeset.Folder))
}

// get returns a changeset if it is on disk and undamaged. It asks the admission
// before it reads the content. Its only errors are the context's and the
// admission's.
func (d *disk) get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (c changeset.Changeset, found bool, err error) {
	if d == nil {
		return c, false, nil
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return c, false, ctx.Err()
	}
	name := name(ref)
	f, err := openRegular(filepath.Join(d.dir, name))
	if err != nil {
		d.unreadable(ctx, ref, err)
		return c, false, nil
	}
	defer f.Close()
	in := bufio.NewReader(f)
	c.Header, err = readHeader(in, ref, name)
	if err == nil {
		if err := admission.Admit(c.Header); err != nil {
			return changeset.Changeset{}, false, err
		}
		c.Body, err = readContent(in, f, c.BodySize)
	}
	if err == nil {
		err = c.VerifyBody()
	}
	if err != nil {
		d.log.WarnContext(ctx, "a file of the cache is damaged, deleting it", "file", name, "err", err)
		d.remove(ref)
		return changeset.Changeset{}, false, nil
	}
	d.index.GetIfPresent(name) // it was useful
	return c, true, nil
}

// unreadable logs that a file cannot be opened. Anything else than a regular file is
// deleted, so that a file can take its place.
func (d *disk) unreadable(ctx context.Context, ref changeset.Ref, err error) {
	if absent(err) {
		return
	}
	d.log.WarnContext(ctx, "cannot read a file of the cache", "file", name(ref), "err", err)
	if errors.Is(err, errNotRegular) {
		d.remove(ref)
	}
}

// record is the first line of a file, followed by its SHA-256 in a second one,
// and the content.
type record struct {
	Metadata    map[string]string
	ContentType string
	Size        int64
}

func readHeader(in *bufio.Reader, ref changeset.Ref, file string) (changeset.Header, error) {
	line, err := readLine(in)
	if err != nil {
		return changeset.Header{}, err
	}
	sum, err := readLine(in)
	if err != nil {
		return changeset.Header{}, err
	}
	if sum != fmt.Sprintf("%x", sha256.Sum256([]byte(line))) {
		return changeset.Header{}, errors.New("the header does not match its sha256")
	}
	var r record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return changeset.Header{}, err
	}
	return changeset.Decode(changeset.Stored{Ref: ref, Object: file, Metadata: r.Metadata, ContentType: r.ContentType, Size: r.Size}, changeset.Hyphenated)
}

// readLine reads a line without its end, no longer than a buffer that the
// largest header fits in.
func readLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for b.Len() < maxHeader {
		part, err := in.ReadSlice('\n')
		b.Write(part)
		if err == nil {
			return strings.TrimSuffix(b.String(), "\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
	return "", errors.New("the header is too long")
}

// readContent reads the rest of a file, which must be as long as is said.
func readContent(in *bufio.Reader, f *os.File, size int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if size < 0 || size > info.Size() {
		return nil, io.ErrUnexpectedEOF
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(in, content); err != nil {
		return nil, err
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, errors.New("the file goes on behind the content")
	}
	return content, nil
}

// put writes a file under another name first, so that it is whole or not there.
// That it cannot is no error: then the storage is asked again.
func (d *disk) put(c changeset.Changeset) {
	header, err := encode(c.Header)
	size := int64(len(header)) + c.BodySize
	if err == nil && size > d.bytes {
		return
	}
	name := name(c.Ref)
	if err == nil {
		d.slots <- struct{}{}
		defer func() { <-d.slots }()
		err = d.write(filepath.Join(d.dir, name), header, c.Body)
	}
	if err != nil {
		d.log.Warn("cannot write a file of the cache", "file", name, "err", err)
		return
	}
	d.index.Set(name, uint32(size))
}

func encode(h changeset.Header) (string, error) {
	metadata, err := changeset.Encode(h, changeset.Hyphenated)
	if err != nil {
		return "", err
	}
	line, err := json.Marshal(record{metadata, h.ContentType, h.BodySize})
	return fmt.Sprintf("%s\n%x\n", line, sha256.Sum256(line)), err
}

func (d *disk) write(path, header string, content []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, temporary)
	if err != nil {
		return err
	}
	_, err = f.WriteString(header)
	if err == nil {
		_, err = f.Write(content)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (d *disk) remove(ref changeset.Ref) {
	if d == nil {
		return
	}
	d.index.Invalidate(name(ref))
	d.delete(name(ref))
}

func (d *disk) delete(name string) {
	if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !absent(err) {
		d.log.Warn("cannot delete a file of the cache", "file", name, "err", err)
	}
}

// forget removes an aggregate's folder.
func (d *disk) forget(aggregateID string) error {
	if d == nil {
		return nil
	}
	folder := changeset.Escape(aggregateID)
	for name := range d.index.Keys() {
		if strings.HasPrefix(name, folder+string(filepath.Separator)) {
			d.index.Invalidate(name)
		}
	}
	if err := os.RemoveAll(filepath.Join(d.dir, folder)); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}
