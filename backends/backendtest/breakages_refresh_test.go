package backendtest

import (
	"context"

	"ropewalk/head"
)

// refreshAs breaks what Refresh returns.
func refreshAs(change func(b *broken, seen, got head.Head, err error) (head.Head, error)) func(*broken) {
	return func(b *broken) {
		intact := b.refresh
		b.refresh = func(ctx context.Context, seen head.Head) (head.Head, error) {
			got, err := intact(ctx, seen)
			return change(b, seen, got, err)
		}
	}
}

var refreshBreakages = []breakage{
	{refreshUnchanged, "Refresh changes the token", refreshAs(func(_ *broken, _, got head.Head, err error) (head.Head, error) {
		return got.WithToken("another"), err
	})},
	{refreshUnchanged, "Refresh of what is unchanged returns nothing", refreshAs(func(_ *broken, seen, got head.Head, err error) (head.Head, error) {
		if got == seen {
			return head.Head{}, err
		}
		return got, err
	})},
	{refreshChanged, "Refresh takes a fence for no change", refreshAs(func(_ *broken, seen, got head.Head, err error) (head.Head, error) {
		if got.Ref == seen.Ref {
			return seen, err
		}
		return got, err
	})},
	{refreshWithoutToken, "Refresh takes what has no token for unchanged", refreshAs(func(_ *broken, seen, got head.Head, err error) (head.Head, error) {
		if seen.Token() == "" {
			return seen, nil
		}
		return got, err
	})},
	{refreshOfCorrupt, "Refresh takes what does not decode for unchanged", refreshAs(func(_ *broken, seen, got head.Head, err error) (head.Head, error) {
		if err != nil {
			return seen, nil
		}
		return got, err
	})},
	{refreshUnderEndedContext, "Refresh hides why it fails", refreshAs(func(_ *broken, _, got head.Head, err error) (head.Head, error) {
		return got, hidden(err)
	})},
}
