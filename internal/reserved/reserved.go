// Package reserved has the aggregate IDs that are the library's own. They begin
// with a $. Applications cannot append to them.
//
// The feed, its register and the subscriptions are chains with heads. Snapshots
// are objects without a head.
package reserved

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"ropewalk/changeset"
)

const (
	// Register is the chain whose newest changeset names the feed.
	Register = "$feed"
	// feeds begins the IDs of the chains of feeds.
	feeds = "$feed-"
	// Subscriptions begins the IDs of the chains of subscriptions.
	Subscriptions = "$subscription-"
	// SnapshotsPrefix begins the IDs of snapshots.
	SnapshotsPrefix = "$snapshots-"
)

// Is reports whether an aggregate ID is reserved.
func Is(aggregateID string) bool { return strings.HasPrefix(aggregateID, "$") }

// IsChain reports whether a reserved ID is the ID of a chain, which has a head.
func IsChain(aggregateID string) bool {
	return aggregateID == Register || strings.HasPrefix(aggregateID, feeds) || IsSubscription(aggregateID)
}

// HasChain reports whether an aggregate ID, reserved or not, is the ID of a chain.
func HasChain(aggregateID string) bool { return !Is(aggregateID) || IsChain(aggregateID) }

// Feed returns the ID of the chain of a feed's generation.
func Feed(generation string) string { return feeds + generation }

// Subscription returns the ID of the chain of a subscription.
func Subscription(name string) string { return Subscriptions + name }

// IsSubscription reports whether an ID is the ID of the chain of a subscription. Its
// head has a checkpoint, which cannot be rebuilt from objects.
func IsSubscription(aggregateID string) bool { return strings.HasPrefix(aggregateID, Subscriptions) }

// IsSnapshots reports whether the objects under an ID are snapshots.
func IsSnapshots(aggregateID string) bool { return strings.HasPrefix(aggregateID, SnapshotsPrefix) }

// Snapshots returns the reserved aggregate ID under which the snapshots of an
// aggregate are kept. Erasing the aggregate must delete these objects too.
func Snapshots(aggregateID string) string {
	sum := sha256.Sum256([]byte(aggregateID))
	return SnapshotsPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

type doorKey struct{}

// Open returns a context under which the chains of reserved IDs can be appended
// to and erased. Only the library's own packages can call it.
func Open(ctx context.Context) context.Context { return context.WithValue(ctx, doorKey{}, true) }

// Check returns an error that matches [changeset.ErrInvalidAggregateID] if
// [Refuses] reports true.
func Check(ctx context.Context, aggregateID string) error {
	if Refuses(ctx, aggregateID) {
		return fmt.Errorf("%w: %q: a leading $ is reserved for the library's own chains", changeset.ErrInvalidAggregateID, aggregateID)
	}
	return nil
}

// Refuses reports whether an aggregate ID is reserved and the context is not one of [Open].
func Refuses(ctx context.Context, aggregateID string) bool {
	return Is(aggregateID) && (ctx.Value(doorKey{}) == nil || !IsChain(aggregateID))
}
