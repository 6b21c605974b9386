package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/changeset"
	"ropewalk/internal/awscall"
	"ropewalk/internal/listorder"
	"ropewalk/internal/transport"
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
				if err == nil && !yield(changeset.Object{Ref: ref, Size: *o.Size, LastModified: o.LastModified.UTC()}, nil) {
					return
				}
			}
		}
	}
}

// Aggregates yields the aggregates that have a folder, by ListObjectsV2, a
// request for each 1,000 of them, and now and then one more for their order.
// It returns the errors of [Store.Objects].
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		exists := func(folder string) (bool, error) { return s.folderExists(ctx, folder) }
		escaped := changeset.Escape(after)
		for folder, err := range listorder.InOrder(s.folders(ctx, escaped), exists, escaped) {
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

// folders yields the aggregates' folders that S3 lists after the name. S3 sorts
// them by name and slash. No folder whose name, without the slash, sorts after
// the given name is missing.
func (s *Store) folders(ctx context.Context, after string) iter.Seq2[listorder.Page, error] {
	above := s.key(changeset.Folder)
	in := &s3.ListObjectsV2Input{Prefix: above, Delimiter: aws.String("/")}
	if after != "" {
		in.StartAfter = aws.String(*above + after)
	}
	return func(yield func(listorder.Page, error) bool) {
		for page, err := range s.pages(ctx, in) {
			var p listorder.Page
			if err == nil {
				p.Last = isLast(page)
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
// It goes on while there is a token, since not every server says IsTruncated.
func (s *Store) pages(ctx context.Context, in *s3.ListObjectsV2Input) iter.Seq2[*s3.ListObjectsV2Output, error] {
	return func(yield func(*s3.ListObjectsV2Output, error) bool) {
		next := *in // a second iteration begins at the first page again
		next.Bucket = &s.bucket
		for {
			page, err := do(transport.WithLimit(ctx, transport.ListingLimit), s, s.client.ListObjectsV2, &next)
			if err == nil {
				err = checkPage(page, aws.ToString(next.ContinuationToken))
			}
			if err != nil {
				yield(nil, fmt.Errorf("list %s: %w", s.locate(s.name(in.Prefix)), err))
				return
			}
			if !yield(page, nil) || isLast(page) {
				return
			}
			next.ContinuationToken = page.NextContinuationToken
		}
	}
}

func isLast(page *s3.ListObjectsV2Output) bool { return aws.ToString(page.NextContinuationToken) == "" }

// checkPage returns the error of a page that leaves out what S3 always says, or
// that would make the listing end too early or never.
func checkPage(page *s3.ListObjectsV2Output, token string) error {
	broken := func(format string, args ...any) error { return awscall.Foreign("S3", fmt.Errorf(format, args...)) }
	switch {
	case isLast(page) && aws.ToBool(page.IsTruncated):
		return broken("a page of the listing is truncated, but names no next page")
	case !isLast(page) && *page.NextContinuationToken == token:
		return broken("a page of the listing names itself as the next page")
	case len(page.Contents)+len(page.CommonPrefixes) < int(aws.ToInt32(page.KeyCount)):
		return broken("a page of the listing does not have all of its %d names", *page.KeyCount)
	}
	for _, o := range page.Contents {
		if aws.ToString(o.Key) == "" || o.Size == nil || o.LastModified == nil {
			return broken("the listing has an object without its key, size or time")
		}
	}
	for _, folder := range page.CommonPrefixes {
		if aws.ToString(folder.Prefix) == "" {
			return broken("the listing has a folder without its name")
		}
	}
	return nil
}
