package changeset

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// MaxMembers is the largest number of aggregates in one commit.
const MaxMembers = 100

// keyCommit is the key of the user metadata that has the mark of a commit. Drafts have no
// keys that begin with a $.
const keyCommit = "$commit"

// Commit is the mark that a commit of several aggregates leaves in each of its changesets.
// The zero Commit is no mark.
type Commit struct {
	// ID is the commit's own.
	ID ID
	// Members is how many aggregates the commit appended to, from 1 to [MaxMembers].
	Members int
}

// IsZero reports whether there is no mark.
func (c Commit) IsZero() bool { return c == Commit{} }

// String returns the text of the mark: the ID in unpadded base64url, a ~, and the number of
// members. It is empty for the zero Commit.
func (c Commit) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(c.ID[:]) + "~" + strconv.Itoa(c.Members)
}

// Mark returns a copy of a caller's metadata with the mark. Its error matches
// [ErrInvalidDraft] if the two take more than [MaxMetadata] bytes once encoded.
func (c Commit) Mark(metadata map[string]string) (map[string]string, error) {
	marked := make(map[string]string, len(metadata)+1)
	maps.Copy(marked, metadata)
	marked[keyCommit] = c.String()
	if err := validateUser(marked); err != nil {
		return nil, fmt.Errorf("%w: with the mark of its commit: %w", ErrInvalidDraft, err)
	}
	return marked, nil
}

// Commit returns the mark of the commit of several aggregates that created the changeset.
// It is the zero Commit if the changeset was appended alone.
func (h Header) Commit() Commit {
	c, ok := parseCommit(h.Metadata[keyCommit])
	if !ok {
		return Commit{}
	}
	return c
}

// parseCommit reverses [Commit.String].
func parseCommit(s string) (c Commit, ok bool) {
	id, members, _ := strings.Cut(s, "~")
	raw, err := strictBase64URL.DecodeString(id)
	n, err2 := ParseDecimal(members)
	if err != nil || err2 != nil || len(raw) != len(c.ID) || n < 1 || n > MaxMembers {
		return c, false
	}
	c = Commit{ID: ID(raw), Members: int(n)}
	return c, !c.ID.IsZero() && c.String() == s
}
