package azurestore

import (
	"context"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/changeset"
	"ropewalk/internal/folders"
)

// Objects yields the aggregate's objects, by one request for each 5,000.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		folder := s.prefix + changeset.FolderOf(aggregateID)
		pager := s.changesets.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder})
		for page, err := range pages(ctx, s, s.changesets, pager) {
			if err != nil {
				yield(changeset.Object{}, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				o, ok := s.object(item)
				if ok && !yield(o, nil) {
					return
				}
			}
		}
	}
}

// object reads one item of a listing; false where it is no changeset's.
func (s *Store) object(item *container.BlobItem) (changeset.Object, bool) {
	ref, err := changeset.ParseObjectName(strings.TrimPrefix(*item.Name, s.prefix))
	if err != nil {
		return changeset.Object{}, false
	}
	p := item.Properties
	return changeset.Object{Ref: ref, Size: *p.ContentLength, LastModified: p.LastModified.UTC()}, true
}

// Aggregates yields the aggregates, by one request for each 5,000 and now and
// then one more for their order. A name that comes after saves no requests.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		exists := func(folder string) (bool, error) { return s.folderExists(ctx, folder) }
		for folder, err := range folders.InOrder(s.folders(ctx), exists, changeset.Escape(after)) {
			id, invalid := changeset.Unescape(folder)
			if err == nil && (invalid != nil || changeset.ValidateAggregateID(id) != nil) {
				continue
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

// folders yields the pages of a listing of the aggregates' folders.
func (s *Store) folders(ctx context.Context) iter.Seq2[folders.Page, error] {
	return func(yield func(folders.Page, error) bool) {
		above := s.prefix + changeset.Folder
		pager := s.changesets.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &above})
		for page, err := range pages(ctx, s, s.changesets, pager) {
			if err != nil {
				yield(folders.Page{}, err)
				return
			}
			p := folders.Page{Last: !pager.More()}
			for _, folder := range page.Segment.BlobPrefixes {
				p.Names = append(p.Names, strings.TrimSuffix(strings.TrimPrefix(*folder.Name, above), "/"))
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (s *Store) folderExists(ctx context.Context, name string) (bool, error) {
	folder := s.prefix + changeset.Folder + name + "/"
	pager := s.changesets.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder, MaxResults: to.Ptr(int32(1))})
	for page, err := range pages(ctx, s, s.changesets, pager) {
		if err != nil || len(page.Segment.BlobItems) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}
