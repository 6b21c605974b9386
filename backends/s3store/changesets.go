package s3store

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/changeset"
	"ropewalk/internal/announced"
	"ropewalk/internal/awscall"
)

// Put stores the changeset by one PutObject, create-only. Where the object is
// there already, it returns nil: a reference is never used twice, so the object
// is that of an earlier attempt. S3 refuses content that does not match the
// header's SHA-256. It returns [changeset.Encode]'s errors, the context's, a
// [*SetupError] and S3's own.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	metadata, err := changeset.Encode(c.Header, changeset.Hyphens)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, s.put(c.Content), &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(c.Ref.ObjectName()),
		Metadata:       metadata,
		ContentType:    &c.ContentType,
		ChecksumSHA256: checksum(c.ContentSHA256),
		IfNoneMatch:    aws.String("*"),
	})
	if err != nil && awscall.Code(err) != codePrecondition {
		return fmt.Errorf("put %s: %w", s.Locate(c.Ref), err)
	}
	return nil
}

// put is PutObject with a body that is read from its beginning at each call.
func (s *Store) put(body []byte) operation[s3.PutObjectInput, s3.PutObjectOutput] {
	return func(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
		in.Body = bytes.NewReader(body)
		return s.client.PutObject(ctx, in, opts...)
	}
}

// checksum spells a SHA-256 as S3 does. As part of the input it is sent by
// every client, also by one that computes no checksums.
func checksum(sum [32]byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// bodyTries is how often a Get asks for a body that breaks off: the SDK's own
// retries end where a body begins.
const bodyTries = 3

// Get returns the changeset by one GetObject, whose checksum the SDK verifies;
// it repeats that where the body breaks off or fails its checksum. It returns
// an error that matches [changeset.ErrNotFound], [changeset.Decode]'s,
// [changeset.Admit]'s, the context's, a [*SetupError] and S3's own.
func (s *Store) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	out, err := s.get(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	defer out.Body.Close()
	info, err := s.decode(ref, gotten(out))
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := changeset.Admit(ctx, info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := readBody(out.Body, info.ContentSize)
	for tries := 1; err != nil && tries < bodyTries; tries++ {
		if out, err = s.get(ctx, ref); err != nil {
			return changeset.Changeset{}, err
		}
		content, err = readBody(out.Body, info.ContentSize)
	}
	// A whole body that never matches S3's checksum is damaged where it is
	// stored: the caller's own check will say so.
	if err != nil && int64(len(content)) != info.ContentSize {
		return changeset.Changeset{}, fmt.Errorf("get %s: %w", s.Locate(ref), err)
	}
	return changeset.Changeset{Header: info.Header, Content: content}, nil
}

// readBody reads and closes a body, and returns what it has read of it in any case.
func readBody(body io.ReadCloser, size int64) ([]byte, error) {
	defer body.Close()
	return announced.Read(body, size)
}

func (s *Store) get(ctx context.Context, ref changeset.Ref) (*s3.GetObjectOutput, error) {
	out, err := do(ctx, s, s.client.GetObject, &s3.GetObjectInput{
		Bucket:       &s.bucket,
		Key:          s.key(ref.ObjectName()),
		ChecksumMode: types.ChecksumModeEnabled,
	})
	if awscall.Code(err) == codeNoKey {
		return nil, fmt.Errorf("%s: %w", s.Locate(ref), changeset.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", s.Locate(ref), err)
	}
	return out, nil
}

// Stat returns the changeset without its content by one HeadObject. The answer
// to that cannot tell a missing object from a missing bucket; where one of them
// is missing, a GetObject follows. The errors are those of [Store.Get].
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	out, err := do(ctx, s, s.client.HeadObject, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(ref.ObjectName())})
	switch {
	case awscall.Code(err) == codeNotFound:
		return s.statByGet(ctx, ref)
	case err != nil:
		return changeset.Info{}, fmt.Errorf("stat %s: %w", s.Locate(ref), err)
	}
	return s.decode(ref, object{out.Metadata, out.ContentType, out.ContentLength, out.LastModified})
}

func (s *Store) statByGet(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	out, err := s.get(ctx, ref)
	if err != nil {
		return changeset.Info{}, err
	}
	defer out.Body.Close()
	return s.decode(ref, gotten(out))
}

// object is what the answers to GetObject and HeadObject have in common.
type object struct {
	metadata    map[string]string
	contentType *string
	size        *int64
	modified    *time.Time
}

func gotten(out *s3.GetObjectOutput) object {
	return object{out.Metadata, out.ContentType, out.ContentLength, out.LastModified}
}

func (s *Store) decode(ref changeset.Ref, o object) (changeset.Info, error) {
	h, err := changeset.Decode(changeset.Stored{
		Ref:         ref,
		Object:      s.Locate(ref),
		Metadata:    o.metadata,
		ContentType: aws.ToString(o.contentType),
		Size:        aws.ToInt64(o.size),
	}, changeset.Hyphens)
	if err != nil {
		return changeset.Info{}, err
	}
	return changeset.Info{Header: h, LastModified: aws.ToTime(o.modified).UTC()}, nil
}

// Delete removes the changeset's object, and returns nil where it is not
// there. In a bucket with versioning S3 keeps a copy, as the bucket's rules
// say. It returns the context's error, a [*SetupError] and S3's own.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	err := s.remove(ctx, ref.ObjectName())
	if err != nil {
		return fmt.Errorf("delete %s: %w", s.Locate(ref), err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	_, err := do(ctx, s, s.client.DeleteObject, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if awscall.Code(err) == codeNoKey { // S3 itself answers 204; not every server does
		return nil
	}
	return err
}
