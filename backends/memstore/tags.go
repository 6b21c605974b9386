package memstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"iter"

	"ropewalk/head"
)

var _ head.Tagger = (*Store)(nil)

// Tags yields a hash of each record as it is when the iteration begins, in the
// order of [Store.List]. Its one possible error is the context's.
func (s *Store) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return snapshot(ctx, func() (tags []head.Tag) {
		for _, r := range s.records(after) {
			sum := sha256.Sum256(r.json)
			tags = append(tags, head.Tag{AggregateID: r.aggregateID, Tag: base64.RawURLEncoding.EncodeToString(sum[:])})
		}
		return tags
	})
}
