// Package policy holds who may do what with a store in a cloud: the least
// rights that each role needs, for the identities of AWS and of Azure. It is
// their only source: what the command prints and what the modules in deploy
// grant is held against it by tests, and it against the requests that the
// backends make.
package policy

import (
	"bytes"
	"encoding/json"
)

// Role is what an identity does with a store.
type Role string

const (
	// Writer appends, settles and reads. It can neither delete nor overwrite.
	Writer Role = "writer"
	// Reader reads chains, and all else that needs no listing of the heads.
	Reader Role = "reader"
	// Maintainer sets the store up and checks it, lists and verifies all that
	// it holds, settles appends, and deletes changesets that no chain can reach.
	// It cannot put changesets.
	Maintainer Role = "maintainer"
	// Relay reads all chains and the stream of the heads, and writes the feed. It can
	// write no chain of an application, and delete nothing but snapshots.
	Relay Role = "relay"
	// Subscriber reads the feed and all chains, and writes the chains of subscriptions.
	Subscriber Role = "subscriber"
)

// Roles are the roles that every cloud has.
var Roles = []Role{Writer, Reader, Maintainer}

// AWSRoles are the roles that AWS has. Azure cannot tell the feed from other chains.
var AWSRoles = []Role{Writer, Reader, Maintainer, Relay, Subscriber}

// probes is the folder, below the prefix, where the backends try conditional
// writes when they check a setup.
const probes = "ropewalk-probe/"

// text is the JSON of a policy, for people: indented, nothing escaped that
// need not be.
func text(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.String(), err
}
