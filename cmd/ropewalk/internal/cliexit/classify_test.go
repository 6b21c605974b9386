package cliexit

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/feed"
	"ropewalk/internal/finding"
)

// The class of an error is the first that it matches, in the order that the
// caller needs: what must be settled, what the command itself decided, and only
// then the cause.
func TestClasses(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	pipe := &OutputError{syscall.EPIPE}
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want Class
	}{
		{ended, &ropewalk.UncertainError{Err: context.Canceled}, Uncertain},
		{ended, Wrap(Conflict, &ropewalk.UncertainError{Err: context.Canceled}), Uncertain},
		{ended, pipe, ClosedPipe},
		{ended, Wrap(Found, errors.Join(ropewalk.ErrNotFound, context.Canceled)), Found},
		{ended, WithHint(Usagef("odd"), "try"), Usage},
		{ended, &ropewalk.ConflictError{}, Conflict},
		{ended, errors.New("use of closed network connection"), Interrupted},
		{t.Context(), fmt.Errorf("%w: %w", feed.ErrFeedReplaced, ropewalk.ErrErased), FeedReplaced},
		{t.Context(), fmt.Errorf("read: %w", feed.ErrOtherHistory), OtherHistory},
		{t.Context(), fmt.Errorf("read: %w", feed.ErrNoFeed), NoFeed},
		{t.Context(), fmt.Errorf("read: %w", context.Canceled), Interrupted},
		{t.Context(), ropewalk.ErrErased, Erased},
		{t.Context(), &ropewalk.CorruptError{}, Corrupt},
		{t.Context(), ropewalk.ErrStoredTooLarge, Oversized},
		{t.Context(), fmt.Errorf("read: %w", &finding.SetupError{Kind: ropewalk.ErrArchived, Hint: "restore"}), Archived},
		{t.Context(), ropewalk.ErrHeadLost, HeadLost},
		{t.Context(), ropewalk.ErrUnsupportedFormat, UnknownFormat},
		{t.Context(), fmt.Errorf("%w: %w", ropewalk.ErrNotFound, context.DeadlineExceeded), Storage},
		{t.Context(), ropewalk.ErrNotFound, NotFound},
		{t.Context(), ropewalk.ErrInvalidAggregateID, InvalidID},
		{t.Context(), ropewalk.ErrInvalidDraft, InvalidDraft},
		{t.Context(), ropewalk.ErrTooLarge, TooLarge},
		{t.Context(), errors.New("odd"), Failed},
	} {
		require.Equal(t, test.want, Classify(test.ctx, test.err), "%v", test.err)
	}
	require.True(t, IsOwn(fmt.Errorf("run: %w", Usagef("odd"))))
	require.False(t, IsOwn(ropewalk.ErrNotFound))
	require.True(t, IsOutput(fmt.Errorf("print: %w", pipe)))
	require.False(t, IsOutput(syscall.EPIPE))
}
