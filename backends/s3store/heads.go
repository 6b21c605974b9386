package s3store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/swap"
)

const (
	// maxRecord is far above the size of every head, so that a foreign object
	// under a head's name is not read into memory.
	maxRecord = 1 << 20
	// listAhead is how many heads a listing reads at the same time.
	listAhead = 16
)

// Load returns the aggregate's head by one GetObject, with its ETag as the
// token. Its errors are [head.DecodeJSON]'s, the context's, a [*SetupError]
// and S3's own.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	return s.load(ctx, aggregateID, head.Head{})
}

// Refresh returns the head of seen's aggregate by one GetObject, which brings
// no body if the object still has the ETag that is seen's token. It returns the
// errors of [Store.Load].
func (s *Store) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return s.load(ctx, seen.AggregateID, seen)
}

// load returns seen if it has a token and the object is unchanged. If the
// body breaks off on its way, load reads it again, as Get does.
func (s *Store) load(ctx context.Context, aggregateID string, seen head.Head) (head.Head, error) {
	in := &s3.GetObjectInput{
		Bucket:       &s.bucket,
		Key:          s.key(head.ObjectName(aggregateID)),
		ChecksumMode: types.ChecksumModeEnabled,
	}
	if seen.Token() != "" {
		in.IfNoneMatch = aws.String(seen.Token())
	}
	object := s.LocateHead(aggregateID)
	for tries := 1; ; tries++ {
		out, err := do(ctx, s, s.client.GetObject, in)
		if awscall.Code(err) == codeNoKey {
			return head.Head{}, nil
		}
		if status, _ := awscall.Response(err); status == http.StatusNotModified && in.IfNoneMatch != nil && !isSetup(err) {
			return seen, nil
		}
		if err != nil {
			return head.Head{}, fmt.Errorf("load %s: %w", object, err)
		}
		record, whole, err := readRecord(out)
		if !whole && tries < bodyTries {
			continue
		}
		if err != nil {
			return head.Head{}, fmt.Errorf("load %s: %w", object, err)
		}
		return s.headOf(aggregateID, record, out.ETag)
	}
}

// headOf decodes a record. A head without an ETag could not be swapped.
func (s *Store) headOf(aggregateID string, record []byte, etag *string) (head.Head, error) {
	object := s.LocateHead(aggregateID)
	h, err := head.DecodeJSON(aggregateID, object, record)
	if err != nil {
		return head.Head{}, err
	}
	if aws.ToString(etag) == "" {
		return head.Head{}, fmt.Errorf("load %s: %w", object, changesTags("S3 returned the head without its ETag", nil))
	}
	return h.WithToken(*etag), nil
}

// isSetup reports whether only a change of the setup ends an error.
func isSetup(err error) bool {
	_, ok := errors.AsType[*SetupError](err)
	return ok
}

// readRecord reads the body of a head's object, and reports whether it looks
// whole. Without its size, only its text says so.
func readRecord(out *s3.GetObjectOutput) (record []byte, whole bool, err error) {
	defer out.Body.Close()
	record, err = io.ReadAll(io.LimitReader(out.Body, maxRecord))
	if err != nil {
		return nil, false, err
	}
	if out.ContentLength == nil {
		return record, json.Valid(record), nil
	}
	if size := *out.ContentLength; size <= maxRecord && int64(len(record)) != size {
		return nil, false, fmt.Errorf("%d bytes arrived of %d: %w", len(record), size, io.ErrUnexpectedEOF)
	}
	return record, true, nil
}

// Swap replaces the head by one PutObject with If-Match on old's ETag, or
// creates it with If-None-Match *. If old has no token it loads the record
// first. The client's retries are off for the one attempt.
//
// It returns the errors of [head.Store]. If the condition failed, the head is
// loaded: a conflict names the head that was found then, and a head that is
// still old means that the ETags here are not S3's, which is a
// [*head.NotAppliedError]. A code by which S3 refuses the write and a request that
// was never sent are a [*head.NotAppliedError] too, with a [*SetupError] if one
// fits. After any other error, such as a status of 500 and above, an unknown
// code, a reply without S3's marks or a lost reply, the outcome is unknown.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	old, next, err := swap.Current(ctx, s, old, next, awscall.MayPass)
	if err != nil {
		return head.Head{}, err
	}
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	in := &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(head.ObjectName(next.AggregateID)),
		ContentType:    aws.String("application/json"),
		ChecksumSHA256: checksum(sha256.Sum256(record)),
	}
	if !old.IsZero() {
		in.IfMatch = aws.String(old.Token())
	} else {
		in.IfNoneMatch = aws.String("*")
	}
	out, call, err := awscall.Once(ctx, s.calls, s.put(record), in)
	if err != nil {
		return head.Head{}, s.swapError(ctx, call, old, next, err)
	}
	return next.WithToken(*out.ETag), nil
}

func (s *Store) swapError(ctx context.Context, call *awscall.Call, old, next head.Head, err error) error {
	text := fmt.Errorf("swap %s: %w", s.LocateHead(next.AggregateID), err)
	switch code := awscall.Code(err); {
	case code == codePrecondition:
		return s.conflict(ctx, old, next, text)
	case code == codeNoKey && !old.IsZero():
		return &head.ConflictError{Winner: &head.Head{}}
	case call.NotOffered("PutObject", err):
		return &head.NotAppliedError{Err: text}
	}
	return call.SwapError(text, refusals)
}

// conflict finds out why a condition failed. The swap changed nothing in any case.
func (s *Store) conflict(ctx context.Context, old, next head.Head, failed error) error {
	found, err := s.Load(ctx, next.AggregateID)
	switch {
	case err != nil:
		return &head.ConflictError{}
	case !found.SameRecord(old) || found.Token() != old.Token(): // the object was written again, unchanged
		return &head.ConflictError{Winner: &found}
	case !old.IsZero():
		return &head.NotAppliedError{Err: changesTags("the head is unchanged, but S3 does not know the ETag "+old.Token(), failed)}
	}
	return &head.NotAppliedError{Err: &SetupError{
		What: "S3 refuses to create a head as if it existed, but it does not exist",
		Hint: "run ropewalk init --check: it says whether the server honours conditions", Err: failed,
	}}
}

// List yields the heads in the order of their names: a ListObjectsV2 for each
// 1,000, and a GetObject for each head, 16 of them at the same time. It returns
// the errors of [Store.Load].
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for page, err := range s.headPages(ctx, cursor) {
			if err != nil {
				yield(head.Head{}, err)
				return
			}
			for ids := range slices.Chunk(s.headsOf(page), listAhead) {
				for _, l := range s.loadAll(ctx, ids) {
					if gone := l.err == nil && l.head.IsZero(); gone {
						continue
					}
					if !yield(l.head, l.err) || l.err != nil {
						return
					}
				}
			}
		}
	}
}

// headPages yields the pages of a listing of the heads that come after an
// aggregate ID.
func (s *Store) headPages(ctx context.Context, after string) iter.Seq2[*s3.ListObjectsV2Output, error] {
	in := &s3.ListObjectsV2Input{Prefix: s.key(head.Folder), Delimiter: aws.String("/")}
	if after != "" {
		in.StartAfter = s.key(head.ObjectName(after))
	}
	return s.pages(ctx, in)
}

// headsOf returns the aggregates whose heads are on a page of the listing.
func (s *Store) headsOf(page *s3.ListObjectsV2Output) (ids []string) {
	for _, o := range page.Contents {
		if id, ok := s.headID(o); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// headID returns the aggregate of a listed head; false if the object is no head.
func (s *Store) headID(o types.Object) (string, bool) {
	id, err := changeset.Unescape(strings.TrimPrefix(s.name(o.Key), head.Folder))
	return id, err == nil && changeset.ValidateAggregateID(id) == nil
}

type loaded struct {
	head head.Head
	err  error
}

func (s *Store) loadAll(ctx context.Context, ids []string) []loaded {
	heads := make([]loaded, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { heads[i].head, heads[i].err = s.Load(ctx, id) })
	}
	wg.Wait()
	return heads
}

// TipSize returns 64 KiB: a PUT costs the same at any size.
func (s *Store) TipSize() int { return 64 << 10 }
