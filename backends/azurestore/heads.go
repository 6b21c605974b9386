package azurestore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/transport"
)

// maxRecord is the largest size of a head's record in bytes. A record of this
// version takes less than 2 KiB, up to 64 KiB more for a checkpoint, and up to 256 KiB
// for a tip; the rest is room for later versions.
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
	at := s.LocateHead(aggregateID)
	stored, err := s.read(ctx, "load", s.head(aggregateID), options)
	switch {
	case hasCode(err, bloberror.BlobNotFound):
		return head.Head{}, nil
	case seen.Token() != "" && is[*unchangedError](err):
		return seen, nil
	case errors.Is(err, errRecordTooLarge):
		return head.Head{}, head.DecodeError(aggregateID, at, errRecordTooLarge)
	case err != nil:
		return head.Head{}, err
	}
	h, err := head.DecodeJSON(aggregateID, at, stored.content)
	if err != nil {
		return head.Head{}, err
	}
	return h.WithToken(stored.token), nil
}

// errRecordTooLarge says that a head's blob is no head.
var errRecordTooLarge = fmt.Errorf("the record has more than %d bytes", maxRecord)

// record is a small blob, and the ETag that a swap of it needs.
type record struct {
	content []byte
	token   string
}

// read returns a small blob, by one request, which is repeated if the connection
// breaks within the body.
func (s *Store) read(ctx context.Context, op string, source *blockblob.Client, options *blob.DownloadStreamOptions) (record, error) {
	return whole(ctx, func() (record, error) {
		response, err := do(ctx, s, op, source.URL(), func(ctx context.Context) (blob.DownloadStreamResponse, error) {
			return source.DownloadStream(ctx, options)
		})
		if err != nil {
			return record{}, err
		}
		defer response.Body.Close()
		content, err := readBody(response.Body, response.ContentLength, maxRecord)
		switch {
		case errors.Is(err, transport.ErrTooLarge):
			return record{}, errRecordTooLarge
		case err != nil:
			return record{}, explain(op, location(source.URL()), &brokenError{err})
		}
		tag, err := token(response.ETag)
		return record{content, tag}, explain(op, location(source.URL()), err)
	})
}

// listAhead is how many heads List reads at the same time.
const listAhead = 16

// List yields the heads in the order of their names, by one request for each
// and one for each 5,000 names. A cursor does not save the requests for the
// names before it.
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for items, err := range s.listHeads(ctx, cursor) {
			if err != nil {
				yield(head.Head{}, err)
				return
			}
			var ids []string
			for _, item := range items {
				ids = append(ids, item.aggregateID)
			}
			for some := range slices.Chunk(ids, listAhead) {
				if !s.yieldHeads(ctx, some, yield) {
					return
				}
			}
		}
	}
}

// headItem is a head on a page of a listing.
type headItem struct {
	aggregateID string
	*container.BlobItem
}

// listHeads yields the pages of a listing of the heads that come after the
// cursor.
func (s *Store) listHeads(ctx context.Context, cursor string) iter.Seq2[[]headItem, error] {
	return func(yield func([]headItem, error) bool) {
		folder := s.prefix + head.Folder
		pager := s.heads.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder})
		for page, err := range pages(ctx, s, s.heads, pager, flatPage) {
			var items []headItem
			if err == nil {
				items, err = s.headsAfter(cursor, page)
			}
			if !yield(items, err) || err != nil {
				return
			}
		}
	}
}

// headsAfter returns the heads after the cursor that a page names. Other names
// are left out.
func (s *Store) headsAfter(cursor string, page container.ListBlobsFlatResponse) (items []headItem, err error) {
	for _, item := range page.Segment.BlobItems {
		escaped, err := s.listed(s.heads, item, s.prefix+head.Folder)
		if err != nil {
			return nil, err
		}
		id, err := changeset.Unescape(escaped)
		if err == nil && changeset.ValidateAggregateID(id) == nil && escaped > changeset.Escape(cursor) {
			items = append(items, headItem{id, item})
		}
	}
	return items, nil
}

// yieldHeads loads the heads at the same time and yields them in order. It
// reports whether to go on; when it yields, no load is under way.
func (s *Store) yieldHeads(ctx context.Context, ids []string, yield func(head.Head, error) bool) bool {
	heads, errs := make([]head.Head, len(ids)), make([]error, len(ids))
	var loads sync.WaitGroup
	for i, id := range ids {
		loads.Go(func() { heads[i], errs[i] = s.Load(ctx, id) })
	}
	loads.Wait()
	for i, h := range heads {
		if errs[i] == nil && h.IsZero() {
			continue // deleted since it was listed
		}
		if !yield(h, errs[i]) || errs[i] != nil {
			return false
		}
	}
	return true
}

// TipSize returns 64 KiB: a write costs the same at any size.
func (s *Store) TipSize() int { return 64 << 10 }
