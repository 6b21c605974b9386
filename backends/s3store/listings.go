package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/changeset"
	"ropewalk/internal/folders"
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
// request for each 1,000 of them, and now and then one more for their order.
// Its errors are those of [Store.Objects].
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		exists := func(folder string) (bool, error) { return s.folderExists(ctx, folder) }
		escaped := changeset.Escape(after)
		for folder, err := range folders.InOrder(s.folders(ctx, escaped), exists, escaped) {
			id, foreign := changeset.Unescape(folder)
			if err == nil && (foreign != nil || changeset.ValidateAggregateID(id) != nil) {
				continue
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

// folders yields the aggregates' folders, those of them that S3 lists behind
// the name: it lists them by name and slash, in which order none that sorts
// behind the name by itself is missing.
func (s *Store) folders(ctx context.Context, after string) iter.Seq2[folders.Page, error] {
	above := s.key(changeset.Folder)
	in := &s3.ListObjectsV2Input{Prefix: above, Delimiter: aws.String("/")}
	if after != "" {
		in.StartAfter = aws.String(*above + after)
	}
	return func(yield func(folders.Page, error) bool) {
		for page, err := range s.pages(ctx, in) {
			var p folders.Page
			if err == nil {
				p.Last = !aws.ToBool(page.IsTruncated)
				for _, folder := range page.CommonPrefixes {
					p.Names = append(p.Names, strings.TrimSuffix(strings.TrimPrefix(*folder.Prefix, *above), "/"))
				}
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (s *Store) folderExists(ctx context.Context, name string) (bool, error) {
	in := &s3.ListObjectsV2Input{Prefix: s.key(changeset.Folder + name + "/"), MaxKeys: aws.Int32(1)}
	for page, err := range s.pages(ctx, in) {
		if err != nil || len(page.Contents) > 0 {
			return err == nil, err
		}
	}
	return false, nil
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
