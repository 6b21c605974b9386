package archive

import (
	"context"
	"errors"
	"io/fs"

	"ropewalk/changeset"
)

// readFile returns the content of a file, proved against its manifest.
func (a *Archive) readFile(ctx context.Context, f File) ([]byte, error) {
	content, err := a.destination.Read(ctx, f.Name, f.Bytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, a.corrupt(f.Name, "it is missing")
	case err != nil:
		return nil, err
	case int64(len(content)) != f.Bytes:
		return nil, a.corrupt(f.Name, "it does not have the %d bytes that the manifest says", f.Bytes)
	case hash(content) != f.SHA256:
		return nil, a.corrupt(f.Name, "it does not have the SHA-256 that the manifest says")
	}
	return content, nil
}

// damaged returns the error of a file whose rows cannot be read.
func (a *Archive) damaged(f File, err error) error {
	if err == nil {
		return nil
	}
	return a.corrupt(f.Name, "%v", err)
}

// isCorrupt reports whether a file is missing or damaged.
func isCorrupt(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return corrupt
}
