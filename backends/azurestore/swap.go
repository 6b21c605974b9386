package azurestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"ropewalk/head"
)

// Swap replaces the head's blob by one request, sent once; where old has no
// token, a request that reads the blob comes before. A conflict does not name
// its winner: the service does not tell.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	if old.Exists() && old.Token() == "" {
		var err error
		if old, next, err = s.learn(ctx, old, next); err != nil {
			return head.Head{}, err
		}
	}
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, &head.NotApplied{Err: err}
	}
	token, err := s.write(ctx, "swap", s.head(next.AggregateID), record, old.Token())
	if err != nil {
		return head.Head{}, err
	}
	return next.WithToken(token), nil
}

// learn reads the stored record for a head without a token: it has the token,
// and all that a newer version may have added, which next then takes over.
func (s *Store) learn(ctx context.Context, old, next head.Head) (stored, full head.Head, err error) {
	stored, err = s.Load(ctx, old.AggregateID)
	if err != nil {
		return stored, next, &head.NotApplied{Err: err}
	}
	if !stored.SameRecord(old) {
		return stored, next, &head.SwapConflict{Winner: &stored}
	}
	next = next.Inherit(stored)
	return stored, next, head.CheckSwap(stored, next)
}

// once turns the client's retries off: 0 would mean its default.
var once = policy.RetryOptions{MaxRetries: -1}

// write replaces the blob with that token, or creates it where the token is
// empty, in one attempt. It returns the new token, and the errors of
// [head.Store]'s Swap.
func (s *Store) write(ctx context.Context, op string, target *blockblob.Client, content []byte, token string) (string, error) {
	condition := onlyNew
	if token != "" {
		etag := azcore.ETag(token)
		condition = blob.ModifiedAccessConditions{IfMatch: &etag}
	}
	body := &guardedBody{content: bytes.NewReader(content)}
	response, err := do(ctx, s, op, target.URL(), func() (blockblob.UploadResponse, error) {
		return target.Upload(policy.WithRetryOptions(ctx, once), body, uploadOptions(content, "application/json", condition))
	})
	switch {
	case err != nil:
		return "", outcome(err, token != "", body)
	case response.ETag == nil:
		return "", nil // the next swap reads it
	}
	return string(*response.ETag), nil
}

// outcome tells what a failed write has done: nothing, for a reason that it
// returns as [*head.SwapConflict] or [*head.NotApplied], or nobody knows.
func outcome(err error, replaces bool, body *guardedBody) error {
	var answer *azcore.ResponseError
	answered := errors.As(err, &answer)
	switch {
	case stale(err), !replaces && exists(err):
		return &head.SwapConflict{}
	case answered && answer.StatusCode == http.StatusPreconditionFailed && answer.ErrorCode == "":
		return &head.SwapConflict{}
	case replaces && bloberror.HasCode(err, bloberror.BlobNotFound):
		return &head.SwapConflict{Winner: &head.Head{}}
	case answered && refusal(answer):
		return &head.NotApplied{Retryable: answer.StatusCode == http.StatusTooManyRequests, Err: err}
	case body.withhold():
		return &head.NotApplied{Retryable: unreachable(err), Err: err}
	}
	return err
}

// refusal reports whether the service has refused a request before it took
// effect. Its own refusals have an error code; what has none comes from
// something on the way, which cannot know what the service did.
func refusal(answer *azcore.ResponseError) bool {
	return answer.ErrorCode != "" && answer.StatusCode >= 400 && answer.StatusCode < 500 &&
		answer.StatusCode != http.StatusRequestTimeout
}

// guardedBody is a request's body that knows whether anybody has begun to read
// it. A write whose body was never read, because there was no connection or no
// token to sign it with, has no effect.
type guardedBody struct {
	content *bytes.Reader
	state   atomic.Int32
}

const (
	untouched = iota
	begun
	withheld
)

// withhold reports whether nothing was read yet, in which case nothing will be.
func (b *guardedBody) withhold() bool { return b.state.CompareAndSwap(untouched, withheld) }

func (b *guardedBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(untouched, begun) && b.state.Load() == withheld {
		return 0, io.ErrClosedPipe
	}
	return b.content.Read(p)
}

func (b *guardedBody) Seek(offset int64, whence int) (int64, error) {
	return b.content.Seek(offset, whence)
}

func (b *guardedBody) Close() error { return nil }
