package azurestore

import (
	"context"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/changeset"
	"ropewalk/internal/listorder"
)

// Objects yields the aggregate's objects, by one request for each 5,000.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		folder := s.prefix + changeset.FolderOf(aggregateID)
		pager := s.changesets.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder})
		for page, err := range pages(ctx, s, s.changesets, pager, flatPage) {
			if err != nil {
				yield(changeset.Object{}, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				o, ok, err := s.object(item, folder)
				if (ok || err != nil) && !yield(o, err) || err != nil {
					return
				}
			}
		}
	}
}

// object reads one item of a listing; false if it is not a changeset.
func (s *Store) object(item *container.BlobItem, folder string) (changeset.Object, bool, error) {
	name, err := s.listed(s.changesets, item, folder)
	if err != nil {
		return changeset.Object{}, false, err
	}
	ref, err := changeset.ParseObjectName(strings.TrimPrefix(folder, s.prefix) + name)
	if err != nil {
		return changeset.Object{}, false, nil
	}
	p := item.Properties
	if p == nil || p.ContentLength == nil || p.LastModified == nil {
		return changeset.Object{}, false, s.badItem(s.changesets)
	}
	return changeset.Object{Ref: ref, Size: *p.ContentLength, LastModified: p.LastModified.UTC()}, true, nil
}

// Aggregates yields the aggregates, by one request for each 5,000 and now and
// then one more for their order. A name that comes after saves no requests.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		exists := func(folder string) (bool, error) { return s.folderExists(ctx, folder) }
		for folder, err := range listorder.InOrder(s.folders(ctx), exists, changeset.Escape(after)) {
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
func (s *Store) folders(ctx context.Context) iter.Seq2[listorder.Page, error] {
	return func(yield func(listorder.Page, error) bool) {
		above := s.prefix + changeset.Folder
		pager := s.changesets.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &above})
		for page, err := range pages(ctx, s, s.changesets, pager, hierarchyPage) {
			var p listorder.Page
			if err == nil {
				p, err = s.folderPage(page, above)
			}
			p.Last = !pager.More()
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// folderPage returns the folders that a page names. Blobs beside the folders are
// not the store's.
func (s *Store) folderPage(page container.ListBlobsHierarchyResponse, above string) (listorder.Page, error) {
	var p listorder.Page
	for _, folder := range page.Segment.BlobPrefixes {
		if folder == nil {
			return p, s.badItem(s.changesets)
		}
		name, err := s.below(s.changesets, folder.Name, above)
		if err != nil {
			return p, err
		}
		p.Names = append(p.Names, strings.TrimSuffix(name, "/"))
	}
	return p, nil
}

// listed returns the name of an item of a listing, without the folder.
func (s *Store) listed(c *container.Client, item *container.BlobItem, folder string) (string, error) {
	if item == nil {
		return "", s.badItem(c)
	}
	return s.below(c, item.Name, folder)
}

func (s *Store) below(c *container.Client, name *string, folder string) (string, error) {
	if name != nil {
		if rest, ok := strings.CutPrefix(*name, folder); ok {
			return rest, nil
		}
	}
	return "", s.badItem(c)
}

// badItem returns the error of a listing with an item that does not belong in it.
func (s *Store) badItem(c *container.Client) error {
	return explain("list", location(c.URL()), &foreignError{reason: "an item of the listing lacks its name, size or time, or is outside the folder"})
}

func (s *Store) folderExists(ctx context.Context, name string) (bool, error) {
	folder := s.prefix + changeset.Folder + name + "/"
	pager := s.changesets.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder, MaxResults: to.Ptr(int32(1))})
	for page, err := range pages(ctx, s, s.changesets, pager, flatPage) {
		if err != nil {
			return false, err
		}
		if items := page.Segment.BlobItems; len(items) > 0 {
			_, err := s.listed(s.changesets, items[0], folder)
			return err == nil, err
		}
	}
	return false, nil
}
