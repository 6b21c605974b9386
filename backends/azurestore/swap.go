package azurestore

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"ropewalk/head"
	"ropewalk/internal/swap"
)

// Swap replaces the head's blob by one request, sent once. If old has no token,
// a request that reads the blob comes first. If the ETag does not match, a
// request that reads the blob follows: its head is the winner, unless the ETag
// is still the same. Then something on the way changes ETags, which is a
// [*SetupError] within a [*head.NotAppliedError].
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	old, next, err := swap.Current(ctx, s, old, next, mayPass)
	if err != nil {
		return head.Head{}, err
	}
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	token, err := s.write(ctx, "swap", s.head(next.AggregateID), record, old.Token())
	if lost, ok := errors.AsType[*head.ConflictError](err); ok && lost.Winner == nil && !old.IsZero() {
		return head.Head{}, s.winner(ctx, old, lost)
	}
	if err != nil {
		return head.Head{}, err
	}
	return next.WithToken(token), nil
}

// winner finds out why the ETag of old did not match.
func (s *Store) winner(ctx context.Context, old head.Head, lost *head.ConflictError) error {
	stored, err := s.Load(ctx, old.AggregateID)
	switch {
	case is[*SetupError](err):
		return &head.NotAppliedError{Err: err}
	case err != nil:
		return lost
	case stored.Token() == old.Token():
		changed := changedETag("the head is unchanged, and its ETag is refused: something on the way changes ETags")
		return &head.NotAppliedError{Err: explain("swap", s.LocateHead(old.AggregateID), changed)}
	}
	return &head.ConflictError{Winner: &stored}
}

// once turns the client's retries off: 0 would mean its default.
var once = policy.RetryOptions{MaxRetries: -1}

// write replaces the blob with that token, or creates it where the token is
// empty, in one attempt. It returns the new token, and the errors of
// [head.Store]'s Swap. The new token is empty if a proxy has changed it: the next
// swap finds that out before it sends anything.
func (s *Store) write(ctx context.Context, op string, target *blockblob.Client, content []byte, old string) (string, error) {
	condition := onlyNew
	if old != "" {
		condition = blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(old))}
	}
	body := &upload{content: content}
	response, err := do(ctx, s, op, target.URL(), func(ctx context.Context) (blockblob.UploadResponse, error) {
		return body.to(policy.WithRetryOptions(ctx, once), target, uploadOptions(content, "application/json", condition))
	})
	if err != nil {
		return "", outcome(conditional(err), old != "", body)
	}
	written, err := token(response.ETag)
	if errors.Is(err, errNoETag) { // the service always sends it: the outcome is unknown
		return "", explain(op, location(target.URL()), err)
	}
	return written, nil
}

// conditional says of a write's error that the server has no conditional writes.
func conditional(err error) error {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || !fromService(answer.RawResponse) || answer.StatusCode != http.StatusNotImplemented {
		return err
	}
	s := unconditional
	s.Err = err
	return &s
}

// outcome turns the error of a write into an error that says how the attempt
// ended: [*head.ConflictError], [*head.NotAppliedError], or neither if that is unknown.
func outcome(err error, replaces bool, body *upload) error {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case !ok || !fromService(answer.RawResponse): // see the last case
	case stale(err), !replaces && exists(err),
		answer.StatusCode == http.StatusPreconditionFailed && answer.ErrorCode == "":
		return &head.ConflictError{}
	case replaces && hasCode(err, bloberror.BlobNotFound):
		return &head.ConflictError{Winner: &head.Head{}}
	case refusal(answer):
		return &head.NotAppliedError{Retryable: answer.StatusCode == http.StatusTooManyRequests, Err: err}
	}
	if body.withhold() {
		return &head.NotAppliedError{Retryable: unreachable(err), Err: err}
	}
	return err
}

// refusal reports whether the service has refused a request before it took
// effect. Its refusals have an error code.
func refusal(answer *azcore.ResponseError) bool {
	switch answer.StatusCode {
	case http.StatusRequestTimeout:
		return false
	case http.StatusNotImplemented:
		return true
	}
	return answer.ErrorCode != "" && answer.StatusCode >= 400 && answer.StatusCode < 500
}
