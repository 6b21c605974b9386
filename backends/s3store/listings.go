package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/changeset"
)

// Objects yields the aggregate's objects by ListObjectsV2, a request for each
// 1,000 of them. Its errors are the context's, a [*SetupError] and S3's own.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		for page, err := range s.pages(ctx, &s3.ListObjectsV2Input{Prefix: s.key(changeset.FolderOf(aggregateID))}) {
			if err != nil {
				yield(changeset.Object{}, err)
				return
			}
			for _, o := range page.Contents {
				ref, err := changeset.ParseObjectName(s.name(o.Key))
				if err == nil && !yield(changeset.Object{Ref: ref, Size: aws.ToInt64(o.Size), LastModified: aws.ToTime(o.LastModified).UTC()}, nil) {
					return
				}
			}
		}
	}
}

// Aggregates yields the aggregates that have a folder, by ListObjectsV2, a
// request for each 1,000 of them, in S3's own order: that of the names of
// their folders ([changeset.FolderOf]). Its errors are those of
// [Store.Objects].
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	in := &s3.ListObjectsV2Input{Prefix: s.key(changeset.Folder), Delimiter: aws.String("/")}
	if after != "" {
		// Every name in the folder begins with "…/", so "0", the byte behind
		// "/", is the first that does not.
		in.StartAfter = s.key(strings.TrimSuffix(changeset.FolderOf(after), "/") + "0")
	}
	return func(yield func(string, error) bool) {
		for page, err := range s.pages(ctx, in) {
			if err != nil {
				yield("", err)
				return
			}
			for _, p := range page.CommonPrefixes {
				id, ok := aggregateOf(s.name(p.Prefix))
				if ok && !yield(id, nil) {
					return
				}
			}
		}
	}
}

// aggregateOf returns the aggregate whose folder has that name, if one has.
func aggregateOf(folder string) (string, bool) {
	escaped := strings.TrimSuffix(strings.TrimPrefix(folder, changeset.Folder), "/")
	id, err := changeset.Unescape(escaped)
	return id, err == nil && changeset.ValidateAggregateID(id) == nil
}

// name returns the name of the object with that key.
func (s *Store) name(key *string) string {
	return strings.TrimPrefix(aws.ToString(key), s.options.Prefix)
}

// pages yields the pages of a listing in the bucket; at most one error ends it.
func (s *Store) pages(ctx context.Context, in *s3.ListObjectsV2Input) iter.Seq2[*s3.ListObjectsV2Output, error] {
	return func(yield func(*s3.ListObjectsV2Output, error) bool) {
		next := *in // a second iteration begins at the first page again
		next.Bucket = &s.bucket
		for {
			page, err := do(ctx, s, s.client.ListObjectsV2, &next)
			if err != nil {
				yield(nil, fmt.Errorf("list %s: %w", s.locate(s.name(in.Prefix)), err))
				return
			}
			if !yield(page, nil) || !aws.ToBool(page.IsTruncated) {
				return
			}
			next.ContinuationToken = page.NextContinuationToken
		}
	}
}
