package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"ropewalk/internal/pause"
)

// Destination is where an archive is kept: files with names of several parts, with
// slashes between them. The files are written once, and are never changed.
//
// [Folder], s3store.Files and azurestore.Files are destinations. An implementation
// must be safe for concurrent use.
type Destination interface {
	// Create must store the file, whole and durably, if no file has the name. If a file
	// has the name, the error must match [fs.ErrExist], and the file must stay as it is.
	// After any other error the file may be stored whole, now or later, or not at all. No
	// reader may ever see a part of a file.
	Create(ctx context.Context, name string, content []byte) error

	// Read must return the content of the file, or the first limit + 1 bytes if the file
	// has more than limit bytes. If the storage itself says that no file has the name,
	// the error must match [fs.ErrNotExist]. A file that was created before the call must
	// be found.
	Read(ctx context.Context, name string, limit int64) ([]byte, error)

	// List must yield the name of each file that begins with the prefix, in any order.
	// Files that were created before the call must be among them. Other files may be
	// among them, such as parts of files that are being written. At most one error ends
	// it.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]

	// Delete must delete the file, durably, and return nil if no file has the name.
	Delete(ctx context.Context, name string) error

	// Locate must return the file's own name in its storage, such as s3://bucket/key,
	// without any request. It must not hold credentials.
	Locate(name string) string
}

// errTaken means that other content has the name already.
var errTaken = errors.New("another archiver has written it")

// tries is how often a file is created whose outcome is unknown.
const tries = 3

// create stores a file, or finds that it is stored. It returns [errTaken] if the name
// has other content. If the outcome is unknown, the file is read back. To create it
// again is safe then: the content is the same, and the first creation counts.
func (a *Archive) create(ctx context.Context, name string, content []byte) error {
	for pauses, try := pause.New(), 1; ; try++ {
		err := a.destination.Create(ctx, name, content)
		if err == nil {
			return nil
		}
		stored, readErr := a.destination.Read(ctx, name, int64(len(content)))
		switch {
		case readErr == nil && bytes.Equal(stored, content):
			return nil
		case readErr == nil:
			return fmt.Errorf("%s: %w", a.destination.Locate(name), errTaken)
		case !errors.Is(readErr, fs.ErrNotExist):
			return fmt.Errorf("%w; whether %s is stored is unknown: %w", err, a.destination.Locate(name), readErr)
		case try == tries || ctx.Err() != nil:
			return err
		}
		if err := pauses.Wait(ctx); err != nil {
			return err
		}
	}
}
