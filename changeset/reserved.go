package changeset

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// snapshots begins the reserved aggregate IDs of snapshots.
const snapshots = "$snapshots-"

// IsReserved reports whether an aggregate ID is one of the library's own: it
// begins with a $. Nobody appends to such an aggregate; it has no head.
func IsReserved(aggregateID string) bool { return strings.HasPrefix(aggregateID, "$") }

// SnapshotsOf returns the reserved aggregate ID under which the snapshots of
// an aggregate are kept. Whoever erases the aggregate deletes its objects too.
func SnapshotsOf(aggregateID string) string {
	sum := sha256.Sum256([]byte(aggregateID))
	return snapshots + base64.RawURLEncoding.EncodeToString(sum[:])
}
