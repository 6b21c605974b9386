// Package peers holds what Ropewalk is compared with: the plain walk of the
// posts that it goes back to, and the stores that people make or take instead.
// Each does no more than what it is compared in, and that as well as it can.
package peers

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/changeset"
	"ropewalk/head"
)

// PlainWalk reads the newest limit changesets of a chain in S3, or all of them
// where there are fewer, exactly as "Your EventStream is a linked list" does:
// the head, and then one GET after the other along parent-changeset-id. It
// checks nothing, and keeps nothing. It returns how many it has read.
func PlainWalk(ctx context.Context, client *s3.Client, bucket, prefix, aggregateID string, limit int) (int, error) {
	record, _, err := get(ctx, client, bucket, prefix+head.ObjectName(aggregateID))
	if err != nil {
		return 0, err
	}
	h, err := head.DecodeJSON(aggregateID, "", record)
	if err != nil {
		return 0, err
	}
	ref := h.Ref
	for n := 1; ; n++ {
		_, metadata, err := get(ctx, client, bucket, prefix+ref.ObjectName())
		if err != nil {
			return n, err
		}
		parent, more := metadata["parent-changeset-id"]
		if !more || n == limit {
			return n, nil
		}
		if ref.ID, err = changeset.ParseID(parent); err != nil {
			return n, err
		}
		ref.Version--
	}
}

func get(ctx context.Context, client *s3.Client, bucket, key string) ([]byte, map[string]string, error) {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: %w", key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return body, out.Metadata, err
}

// GetAll reads all objects at once, as a client does that knows their keys:
// what is left then are the requests themselves.
func GetAll(ctx context.Context, client *s3.Client, bucket string, keys []string) error {
	errs := make(chan error, len(keys))
	for _, key := range keys {
		go func() {
			_, _, err := get(ctx, client, bucket, key)
			errs <- err
		}()
	}
	var failed error
	for range keys {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}
