package s3store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/changeset"
	"ropewalk/internal/awscall"
	"ropewalk/internal/bodyread"
)

// Put stores the changeset by one PutObject, create-only. If the object exists
// already, it returns nil: a reference is never used twice, so an earlier
// attempt stored the object. S3 refuses content that does not match the
// header's SHA-256. It returns [changeset.Encode]'s errors, the context's, a
// [*SetupError] and S3's own.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	metadata, err := changeset.Encode(c.Header, changeset.Hyphenated)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, s.put(c.Body), &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(c.Ref.ObjectName()),
		Metadata:       metadata,
		ContentType:    &c.ContentType,
		ChecksumSHA256: checksum(c.BodySHA256),
		IfNoneMatch:    aws.String("*"),
	})
	if err != nil && awscall.Code(err) != codePrecondition {
		return fmt.Errorf("put %s: %w", s.Locate(c.Ref), err)
	}
	return nil
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
// it repeats the request if the body breaks off or fails its checksum. It
// returns an error that matches [changeset.ErrNotFound], [changeset.Decode]'s,
// the admission's, the context's, a [*SetupError] and S3's own.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	out, err := s.get(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	defer out.Body.Close()
	if out.ContentLength == nil {
		return s.getUnsized(ctx, ref, out, admission)
	}
	info, err := s.decode(ref, gotten(out))
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := admission.Admit(info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := readBody(out.Body, info.BodySize)
	for tries := 1; err != nil && tries < bodyTries; tries++ {
		if out, err = s.get(ctx, ref); err != nil {
			return changeset.Changeset{}, err
		}
		content, err = readBody(out.Body, info.BodySize)
	}
	// A whole body that never matches S3's checksum is damaged where it is
	// stored: the caller's own check will say so.
	if err != nil && int64(len(content)) != info.BodySize {
		return changeset.Changeset{}, fmt.Errorf("get %s: %w", s.Locate(ref), err)
	}
	return changeset.Changeset{Header: info.Header, Body: content}, nil
}

// getUnsized reads a changeset from replies that do not say how large they are.
// The size is what arrives, and a body that was cut is known by its hash, so
// that the content is read before it can be admitted. A hostile server cannot
// make the store hold more than a few such contents at a time.
func (s *Store) getUnsized(ctx context.Context, ref changeset.Ref, out *s3.GetObjectOutput, admission changeset.Admission) (changeset.Changeset, error) {
	select {
	case s.unsized <- struct{}{}:
		defer func() { <-s.unsized }()
	case <-ctx.Done():
		return changeset.Changeset{}, ctx.Err()
	}
	c, err := s.readUnsized(ref, out)
	for tries := 1; tries < bodyTries && (err != nil && !isCorrupt(err) || err == nil && c.VerifyBody() != nil); tries++ {
		if out, err = s.get(ctx, ref); err != nil {
			return changeset.Changeset{}, err
		}
		c, err = s.readUnsized(ref, out)
	}
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := admission.Admit(c.Header); err != nil {
		return changeset.Changeset{}, err
	}
	return c, nil
}

func (s *Store) readUnsized(ref changeset.Ref, out *s3.GetObjectOutput) (changeset.Changeset, error) {
	defer out.Body.Close()
	content, err := bodyread.ReadUnknown(out.Body)
	if err != nil {
		return changeset.Changeset{}, fmt.Errorf("get %s: %w", s.Locate(ref), err)
	}
	o := gotten(out)
	o.size = aws.Int64(int64(len(content)))
	info, err := s.decode(ref, o)
	return changeset.Changeset{Header: info.Header, Body: content}, err
}

// isCorrupt reports whether an object cannot be decoded, however often it is read.
func isCorrupt(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return corrupt || errors.Is(err, changeset.ErrUnsupportedFormat)
}

// readBody reads and closes a body. It returns the bytes read even with an error.
func readBody(body io.ReadCloser, size int64) ([]byte, error) {
	defer body.Close()
	return bodyread.Read(body, size)
}

func (s *Store) get(ctx context.Context, ref changeset.Ref) (*s3.GetObjectOutput, error) {
	out, err := stream(ctx, s, s.client.GetObject, &s3.GetObjectInput{
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

// Stat returns the changeset without its content by one HeadObject. A GetObject
// follows if the reply does not say enough: an error has no body that says which
// it is, and a success may leave out how large the object is. Stat returns the
// errors of [Store.Get].
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	out, err := do(ctx, s, s.client.HeadObject, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(ref.ObjectName())})
	switch {
	case refusedHead(err):
		return s.statByGet(ctx, ref)
	case err != nil:
		return changeset.Info{}, fmt.Errorf("stat %s: %w", s.Locate(ref), err)
	case out.ContentLength == nil:
		return s.statByGet(ctx, ref)
	}
	return s.decode(ref, object{out.Metadata, out.ContentType, out.ContentLength, out.LastModified})
}

func refusedHead(err error) bool {
	status, _ := awscall.Response(err)
	return http.StatusBadRequest <= status && status < http.StatusInternalServerError
}

func (s *Store) statByGet(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	out, err := s.get(ctx, ref)
	if err != nil {
		return changeset.Info{}, err
	}
	defer out.Body.Close()
	o := gotten(out)
	if o.size == nil {
		c, err := s.getUnsized(ctx, ref, out, nil)
		if err != nil {
			return changeset.Info{}, err
		}
		o.size = &c.BodySize
	}
	return s.decode(ref, o)
}

// object is the common part of the answers to GetObject and HeadObject.
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
	}, changeset.Hyphenated)
	if err != nil {
		return changeset.Info{}, err
	}
	return changeset.Info{Header: h, LastModified: aws.ToTime(o.modified).UTC()}, nil
}

// Delete removes the changeset's object, and returns nil if it is missing.
// In a bucket with versioning S3 keeps a copy, as the bucket's rules
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
