package s3store

import (
	"context"
	"crypto/sha256"
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
// no body where the object still has the ETag that is seen's token. Its errors
// are those of [Store.Load].
func (s *Store) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return s.load(ctx, seen.AggregateID, seen)
}

// load returns seen where that has a token and the object is unchanged.
func (s *Store) load(ctx context.Context, aggregateID string, seen head.Head) (head.Head, error) {
	in := &s3.GetObjectInput{
		Bucket:       &s.bucket,
		Key:          s.key(head.ObjectName(aggregateID)),
		ChecksumMode: types.ChecksumModeEnabled,
	}
	if seen.Token() != "" {
		in.IfNoneMatch = aws.String(seen.Token())
	}
	out, err := do(ctx, s, s.client.GetObject, in)
	object := s.LocateHead(aggregateID)
	if awscall.Code(err) == codeNoKey {
		return head.Head{}, nil
	}
	if status, _ := awscall.Response(err); status == http.StatusNotModified && in.IfNoneMatch != nil {
		return seen, nil
	}
	if err != nil {
		return head.Head{}, fmt.Errorf("load %s: %w", object, err)
	}
	defer out.Body.Close()
	record, err := io.ReadAll(io.LimitReader(out.Body, maxRecord))
	if err != nil {
		return head.Head{}, fmt.Errorf("load %s: %w", object, err)
	}
	h, err := head.DecodeJSON(aggregateID, object, record)
	if err != nil {
		return head.Head{}, err
	}
	return h.WithToken(aws.ToString(out.ETag)), nil
}

// Swap replaces the head by one PutObject with If-Match on old's ETag, or
// creates it with If-None-Match *. Where old has no token it loads the record
// first. The one attempt has the client's retries switched off.
//
// Its errors are those of [head.Store]. A conflict leaves open which record
// won, but where the head is gone. Whatever is refused by a code of S3, or was
// never sent, is a [*head.NotApplied], with a [*SetupError] where one fits.
// Every answer of 500 and above, every code that is not known, and every lost
// reply is an error that tells neither.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	old, next, err := awscall.Current(ctx, s, old, next)
	if err != nil {
		return head.Head{}, err
	}
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, &head.NotApplied{Err: err}
	}
	in := &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(head.ObjectName(next.AggregateID)),
		ContentType:    aws.String("application/json"),
		ChecksumSHA256: checksum(sha256.Sum256(record)),
	}
	if old.Exists() {
		in.IfMatch = aws.String(old.Token())
	} else {
		in.IfNoneMatch = aws.String("*")
	}
	return s.swap(ctx, in, record, next)
}

func (s *Store) swap(ctx context.Context, in *s3.PutObjectInput, record []byte, next head.Head) (head.Head, error) {
	var call awscall.Call
	once := func(o *s3.Options) { o.Retryer = awscall.OneAttempt }
	out, err := s.put(record)(ctx, in, watch(&call), once)
	switch code := awscall.Code(err); {
	case err == nil:
		return next.WithToken(aws.ToString(out.ETag)), nil
	case code == codePrecondition:
		return head.Head{}, &head.SwapConflict{}
	case code == codeNoKey && in.IfMatch != nil:
		return head.Head{}, &head.SwapConflict{Winner: &head.Head{}}
	}
	text := fmt.Errorf("swap %s: %w", s.LocateHead(next.AggregateID), s.explain(&call, err))
	return head.Head{}, call.SwapError(err, text, refusals)
}

// List yields the heads in the order of their names: a ListObjectsV2 for each
// 1,000, and a GetObject for each head, 16 of them at the same time. Its errors
// are those of [Store.Load].
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	in := &s3.ListObjectsV2Input{Prefix: s.key(head.Folder), Delimiter: aws.String("/")}
	if cursor != "" {
		in.StartAfter = s.key(head.ObjectName(cursor))
	}
	return func(yield func(head.Head, error) bool) {
		for page, err := range s.pages(ctx, in) {
			if err != nil {
				yield(head.Head{}, err)
				return
			}
			for ids := range slices.Chunk(s.headsOf(page), listAhead) {
				for _, l := range s.loadAll(ctx, ids) {
					if gone := l.err == nil && !l.head.Exists(); gone {
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

// headsOf returns the aggregates whose heads are on a page of the listing.
func (s *Store) headsOf(page *s3.ListObjectsV2Output) []string {
	var ids []string
	for _, o := range page.Contents {
		id, err := changeset.Unescape(strings.TrimPrefix(s.name(o.Key), head.Folder))
		if err == nil && changeset.ValidateAggregateID(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids
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
