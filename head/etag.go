package head

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
)

// ETag returns an HTTP entity tag for the head: version and changeset ID only,
// in quotes. The tag of the zero Head is empty.
func (h Head) ETag() string {
	if !h.Exists() {
		return ""
	}
	return fmt.Sprintf(`"%d.%s"`, h.Version, h.ID)
}

// Matches reports whether an HTTP If-Match header's value admits this head: a
// list of entity tags that has the head's, or * where the head exists. Weak
// tags never match (RFC 9110, section 13.1.1).
func (h Head) Matches(ifMatch string) bool {
	if strings.TrimSpace(ifMatch) == "*" {
		return h.Exists()
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if h.Exists() && strings.TrimSpace(tag) == h.ETag() {
			return true
		}
	}
	return false
}

// ParseETag reads the reference that an entity tag of [Head.ETag] names in the
// given aggregate's chain.
func ParseETag(aggregateID, etag string) (changeset.Ref, error) {
	inner, ok := strings.CutPrefix(etag, `"`)
	inner, ok2 := strings.CutSuffix(inner, `"`)
	if !ok || !ok2 || strings.Contains(inner, "@") {
		return changeset.Ref{}, fmt.Errorf("%s is not an entity tag of a head: want \"VERSION.UUID\" in quotes", etag)
	}
	ref, err := changeset.ParseRef(aggregateID + "@" + inner)
	if err != nil {
		return changeset.Ref{}, fmt.Errorf("%s is not an entity tag of a head: %w", etag, err)
	}
	return ref, nil
}
