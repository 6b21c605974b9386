package azurestore

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/internal/bodyread"
	"ropewalk/internal/transport"
)

// Files keeps files of any content in a container, each under its own name below the
// prefix. It is a destination of archives, and holds replies to the marks that a
// [Store] holds them to. It is safe for concurrent use.
type Files struct{ s *Store }

// NewFiles returns the files in the container of the changesets, which may hold
// nothing else, with the arguments and errors of [New]. It does no I/O.
func NewFiles(serviceURL string, credential azcore.TokenCredential, options *Options) (*Files, error) {
	s, err := New(serviceURL, credential, options)
	if err != nil {
		return nil, err
	}
	return &Files{s}, nil
}

// NewFilesFromConnectionString is [NewFiles] with endpoint and credentials from a
// connection string.
func NewFilesFromConnectionString(connection string, options *Options) (*Files, error) {
	s, err := NewFromConnectionString(connection, options)
	if err != nil {
		return nil, err
	}
	return &Files{s}, nil
}

func (f *Files) blob(name string) *blockblob.Client {
	return f.s.changesets.NewBlockBlobClient(f.s.prefix + name)
}

// Create stores the file as one blob, by one create-only request. The error matches
// [fs.ErrExist] if the service says that a file has the name, which may be the file of
// an earlier attempt of the same call, even if it cannot be read yet. Otherwise it is
// an error of [Store], and the file may be stored, now or later.
func (f *Files) Create(ctx context.Context, name string, content []byte) error {
	target := f.blob(name)
	options := uploadOptions(content, "application/octet-stream", onlyNew)
	response, err := do(ctx, f.s, "create", target.URL(), func(ctx context.Context) (blockblob.UploadResponse, error) {
		return (&upload{content: content}).to(ctx, target, options)
	})
	switch {
	case exists(err):
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	case err != nil:
		return conditional(err)
	case response.ETag == nil: // the service always sends it
		return explain("create", f.Locate(name), errNoETag)
	}
	return nil
}

// Read returns the content of the file by one request, or limit + 1 bytes if it has
// more than limit bytes. It repeats the request if the body breaks off. The error
// matches [fs.ErrNotExist] if the service says that no file has the name; otherwise it
// is an error of [Store].
func (f *Files) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	return whole(ctx, func() ([]byte, error) { return f.read(ctx, name, limit) })
}

func (f *Files) read(ctx context.Context, name string, limit int64) (content []byte, err error) {
	source := f.blob(name)
	response, err := do(ctx, f.s, "read", source.URL(), func(ctx context.Context) (blob.DownloadStreamResponse, error) {
		return source.DownloadStream(transport.WithLimit(ctx, -1), nil)
	})
	if hasCode(err, bloberror.BlobNotFound) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch size := response.ContentLength; {
	case size == nil:
		return nil, explain("read", f.Locate(name), &foreignError{reason: "it does not say how large the file is"})
	case *size > limit:
		content, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	default:
		content, err = bodyread.Read(response.Body, *size)
	}
	if err != nil {
		return nil, explain("read", f.Locate(name), &brokenError{err})
	}
	return content, nil
}

// List yields the names that begin with the prefix, by one request for each 5,000.
func (f *Files) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		above := f.s.prefix + prefix
		pager := f.s.changesets.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &above})
		for page, err := range pages(ctx, f.s, f.s.changesets, pager, flatPage) {
			if err != nil {
				yield("", err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				name, err := f.s.listed(f.s.changesets, item, above)
				if !yield(prefix+name, err) || err != nil {
					return
				}
			}
		}
	}
}

// Delete removes the file and its snapshots, and returns nil if no file has the name.
// Soft delete and versioning, where the account has them, keep a copy for their time.
func (f *Files) Delete(ctx context.Context, name string) error {
	target := f.blob(name)
	_, err := do(ctx, f.s, "delete", target.URL(), func(ctx context.Context) (blob.DeleteResponse, error) {
		return target.Delete(ctx, &blob.DeleteOptions{DeleteSnapshots: to.Ptr(blob.DeleteSnapshotsOptionTypeInclude)})
	})
	if hasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// Locate returns the URL of the file's blob, without any query.
func (f *Files) Locate(name string) string { return location(f.blob(name).URL()) }
