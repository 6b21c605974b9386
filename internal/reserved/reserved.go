// Package reserved has the aggregate IDs that are the library's own. They begin
// with a $, and have objects but no head: applications cannot append to them.
package reserved

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// snapshots begins the reserved aggregate IDs of snapshots.
const snapshots = "$snapshots-"

// Is reports whether an aggregate ID is reserved.
func Is(aggregateID string) bool { return strings.HasPrefix(aggregateID, "$") }

// Snapshots returns the reserved aggregate ID under which the snapshots of an
// aggregate are kept. Erasing the aggregate must delete these objects too.
func Snapshots(aggregateID string) string {
	sum := sha256.Sum256([]byte(aggregateID))
	return snapshots + base64.RawURLEncoding.EncodeToString(sum[:])
}
