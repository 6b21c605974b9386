package azurestore

import (
	"context"
	"iter"

	"ropewalk/head"
)

// Tags yields the ETags of the heads in the order of their names, by one
// request for each 5,000 names. A name that comes after saves no requests.
func (s *Store) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return func(yield func(head.Tag, error) bool) {
		for items, err := range s.listHeads(ctx, after) {
			var tags []head.Tag
			if err == nil {
				tags, err = s.tagsOf(items)
			}
			if err != nil {
				yield(head.Tag{}, err)
				return
			}
			for _, tag := range tags {
				if !yield(tag, nil) {
					return
				}
			}
		}
	}
}

// tagsOf returns the tags of listed heads. A listing has ETags without quotes.
func (s *Store) tagsOf(items []headItem) (tags []head.Tag, err error) {
	for _, item := range items {
		if p := item.Properties; p == nil || p.ETag == nil || *p.ETag == "" {
			return nil, explain("list", location(s.heads.URL()), &foreignError{reason: "an item of the listing lacks its ETag"})
		}
		tags = append(tags, head.Tag{AggregateID: item.aggregateID, Tag: string(*item.Properties.ETag)})
	}
	return tags, nil
}
