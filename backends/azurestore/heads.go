package azurestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/changeset"
	"ropewalk/head"
)

// maxRecord is the largest size of a head's record in bytes. That of this
// version takes less than 2 KiB; the rest is room for what later ones add.
const maxRecord = 1 << 20

// Load returns the aggregate's head, by one request. Its token is the blob's ETag.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	return s.load(ctx, aggregateID, head.Head{})
}

// Refresh returns the head of seen's aggregate, by one request, whose reply has
// no body where the blob still has the ETag that is seen's token.
func (s *Store) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return s.load(ctx, seen.AggregateID, seen)
}

// load returns seen where that has a token and the blob is unchanged.
func (s *Store) load(ctx context.Context, aggregateID string, seen head.Head) (head.Head, error) {
	options := &blob.DownloadStreamOptions{}
	if seen.Token() != "" {
		unless := blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETag(seen.Token()))}
		options.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &unless}
	}
	source := s.head(aggregateID)
	response, err := do(ctx, s, "load", source.URL(), func() (blob.DownloadStreamResponse, error) {
		return source.DownloadStream(ctx, options)
	})
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return head.Head{}, nil
	}
	if err != nil {
		return head.Head{}, err
	}
	if code := response.ErrorCode; code != nil && *code == string(bloberror.ConditionNotMet) {
		return seen, response.Body.Close() // the SDK takes 304 for a success
	}
	at := s.LocateHead(aggregateID)
	body := response.NewRetryReader(ctx, nil)
	defer body.Close()
	record, err := io.ReadAll(io.LimitReader(body, maxRecord+1))
	switch {
	case err != nil:
		return head.Head{}, explain("load", at, err)
	case len(record) > maxRecord:
		return head.Head{}, head.DecodeError(aggregateID, at, fmt.Errorf("the record has more than %d bytes", maxRecord))
	case response.ETag == nil:
		return head.Head{}, explain("load", at, errors.New("the reply has no ETag"))
	}
	h, err := head.DecodeJSON(aggregateID, at, record)
	if err != nil {
		return head.Head{}, err
	}
	return h.WithToken(string(*response.ETag)), nil
}

// listAhead is how many heads List reads at the same time.
const listAhead = 16

// List yields the heads in the order of their names, by one request for each
// and one for each 5,000 names. A cursor does not save the requests for the
// names before it.
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		folder := s.prefix + head.Folder
		pager := s.heads.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder})
		for page, err := range pages(ctx, s, s.heads, pager) {
			if err != nil {
				yield(head.Head{}, err)
				return
			}
			for ids := range slices.Chunk(s.aggregatesBehind(cursor, page), listAhead) {
				if !s.yieldHeads(ctx, ids, yield) {
					return
				}
			}
		}
	}
}

// aggregatesBehind returns the aggregates whose heads a page names, without
// those up to the cursor. What is not the name of a head is left out.
func (s *Store) aggregatesBehind(cursor string, page container.ListBlobsFlatResponse) []string {
	var ids []string
	for _, item := range page.Segment.BlobItems {
		escaped := strings.TrimPrefix(*item.Name, s.prefix+head.Folder)
		id, err := changeset.Unescape(escaped)
		if err == nil && changeset.ValidateAggregateID(id) == nil && escaped > changeset.Escape(cursor) {
			ids = append(ids, id)
		}
	}
	return ids
}

// yieldHeads loads the heads at the same time and yields them in order. It
// reports whether to go on; when it yields, nothing is under way any more.
func (s *Store) yieldHeads(ctx context.Context, ids []string, yield func(head.Head, error) bool) bool {
	heads, errs := make([]head.Head, len(ids)), make([]error, len(ids))
	var loads sync.WaitGroup
	for i, id := range ids {
		loads.Go(func() { heads[i], errs[i] = s.Load(ctx, id) })
	}
	loads.Wait()
	for i, h := range heads {
		if errs[i] == nil && !h.Exists() {
			continue // somebody has deleted it meanwhile
		}
		if !yield(h, errs[i]) || errs[i] != nil {
			return false
		}
	}
	return true
}
