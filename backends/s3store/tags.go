package s3store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/head"
	"ropewalk/internal/awscall"
)

// Tags yields the ETags of the heads in the order of their names, by
// ListObjectsV2 alone, a request for each 1,000. It returns the errors of
// [Store.Objects].
func (s *Store) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return func(yield func(head.Tag, error) bool) {
		for page, err := range s.headPages(ctx, after) {
			var tags []head.Tag
			if err == nil {
				tags, err = s.tagsOf(page)
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

// tagsOf returns the tags of the heads on a page of the listing.
func (s *Store) tagsOf(page *s3.ListObjectsV2Output) (tags []head.Tag, err error) {
	for _, o := range page.Contents {
		id, ok := s.headID(o)
		if !ok {
			continue
		}
		etag := aws.ToString(o.ETag)
		if etag == "" {
			err := awscall.Foreign("S3", errors.New("the listing has a head without its ETag"))
			return nil, fmt.Errorf("list %s: %w", s.locate(head.Folder), err)
		}
		tags = append(tags, head.Tag{AggregateID: id, Tag: etag})
	}
	return tags, nil
}
