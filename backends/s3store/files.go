package s3store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/internal/awscall"
	"ropewalk/internal/bodyread"
)

// Files keeps files of any content in a bucket, each under its own name below the
// prefix. It is a destination of archives, and holds replies to the marks that a
// [Store] holds them to. It is safe for concurrent use.
type Files struct{ s *Store }

// NewFiles returns the files in a bucket, with the errors of [New]. It makes no
// request.
func NewFiles(client *s3.Client, bucket string, options *Options) (*Files, error) {
	s, err := New(client, bucket, options)
	if err != nil {
		return nil, err
	}
	return &Files{s}, nil
}

// Create stores the file by one PutObject, create-only, whose SHA-256 S3 checks. The
// error matches [fs.ErrExist] if a file has the name, which may be the file of an
// earlier attempt of the same call. It can also be the context's, a [*SetupError] or
// S3's own. After these the file may be stored, now or later.
func (f *Files) Create(ctx context.Context, name string, content []byte) error {
	_, err := do(ctx, f.s, f.s.put(content), &s3.PutObjectInput{
		Bucket:         &f.s.bucket,
		Key:            f.s.key(name),
		ContentType:    aws.String("application/octet-stream"),
		ChecksumSHA256: checksum(sha256.Sum256(content)),
		IfNoneMatch:    aws.String("*"),
	})
	if awscall.Code(err) == codePrecondition {
		return fmt.Errorf("create %s: %w", f.Locate(name), fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", f.Locate(name), err)
	}
	return nil
}

// Read returns the content of the file by one GetObject, or limit + 1 bytes if it has
// more than limit bytes. It repeats the request if the body breaks off. The error
// matches [fs.ErrNotExist] if S3 says that no file has the name; otherwise it is the
// context's, a [*SetupError] or S3's own.
func (f *Files) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	for tries := 1; ; tries++ {
		out, err := stream(ctx, f.s, f.s.client.GetObject, &s3.GetObjectInput{
			Bucket: &f.s.bucket, Key: f.s.key(name), ChecksumMode: types.ChecksumModeEnabled,
		})
		if awscall.Code(err) == codeNoKey {
			return nil, fmt.Errorf("%s: %w", f.Locate(name), fs.ErrNotExist)
		}
		if err == nil {
			var content []byte
			if content, err = readLimited(out, limit); err == nil {
				return content, nil
			}
			if tries < bodyTries && ctx.Err() == nil {
				continue
			}
		}
		return nil, fmt.Errorf("read %s: %w", f.Locate(name), err)
	}
}

// readLimited reads and closes a body, of which limit + 1 bytes are enough. A body of
// unknown size that was cut looks like a whole body.
func readLimited(out *s3.GetObjectOutput, limit int64) ([]byte, error) {
	defer out.Body.Close()
	switch size := out.ContentLength; {
	case size == nil:
		return nil, awscall.Foreign("S3", errors.New("the reply does not say how large the file is"))
	case *size > limit:
		return io.ReadAll(io.LimitReader(out.Body, limit+1))
	default:
		return bodyread.Read(out.Body, *size)
	}
}

// List yields the names that begin with the prefix, by ListObjectsV2, a request for
// each 1,000. Its errors are the context's, a [*SetupError] and S3's own.
func (f *Files) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for page, err := range f.s.pages(ctx, &s3.ListObjectsV2Input{Prefix: f.s.key(prefix)}) {
			if err != nil {
				yield("", err)
				return
			}
			for _, o := range page.Contents {
				if !yield(f.s.name(o.Key), nil) {
					return
				}
			}
		}
	}
}

// Delete removes the file, and returns nil if no file has the name. In a bucket with
// versioning S3 keeps a copy, as the bucket's rules say. Its errors are the context's,
// a [*SetupError] and S3's own.
func (f *Files) Delete(ctx context.Context, name string) error {
	if err := f.s.remove(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", f.Locate(name), err)
	}
	return nil
}

// Locate returns the file as s3://bucket/key.
func (f *Files) Locate(name string) string { return f.s.locate(name) }
