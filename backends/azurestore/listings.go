package azurestore

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/changeset"
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
		for folder, err := range inOrder(s.folders(ctx), exists, changeset.Escape(after)) {
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
func (s *Store) folders(ctx context.Context) iter.Seq2[folderPage, error] {
	return func(yield func(folderPage, error) bool) {
		above := s.prefix + changeset.Folder
		pager := s.changesets.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &above})
		for page, err := range pages(ctx, s, s.changesets, pager) {
			if err != nil {
				yield(folderPage{}, err)
				return
			}
			p := folderPage{last: !pager.More()}
			for _, folder := range page.Segment.BlobPrefixes {
				p.names = append(p.names, strings.TrimSuffix(strings.TrimPrefix(*folder.Name, above), "/"))
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

// folderPage is one page of a listing of folders: their names, without the
// slash behind, and whether it is the last page.
type folderPage struct {
	names []string
	last  bool
}

// inOrder yields the names of folders that sort behind after, in order. A
// listing has them in another one, where the slash takes part: "a-b/" comes
// before "a/", and so does "a%2Eb/". Such names are held back until the
// listing is past their stem, "a". It may be far away; where a page ends
// before it, exists is asked instead of holding back more than a page.
func inOrder(pages iter.Seq2[folderPage, error], exists func(name string) (bool, error), after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		o := ordering{exists: exists, done: after}
		for page, err := range pages {
			if err != nil {
				yield("", err)
				return
			}
			o.add(page)
			for name, err := range o.settled {
				if !yield(name, err) || err != nil {
					return
				}
			}
		}
	}
}

// ordering is the state of inOrder: the sorted names that are held back, how
// far the listing has come, and the name up to which all is yielded.
type ordering struct {
	exists func(name string) (bool, error)
	held   []string
	listed string
	ended  bool
	done   string
}

func (o *ordering) add(page folderPage) {
	for _, name := range page.names {
		o.listed = name + "/"
		if i, found := slices.BinarySearch(o.held, name); name > o.done && !found {
			o.held = slices.Insert(o.held, i, name)
		}
	}
	o.ended = page.last
}

// settled yields the held names, all of them, and their stems where those exist.
func (o *ordering) settled(yield func(string, error) bool) {
	for len(o.held) > 0 {
		name := o.held[0]
		if stem := o.stem(name); stem != "" {
			found, err := o.exists(stem)
			o.done = stem
			if (found || err != nil) && (!yield(stem, err) || err != nil) {
				return
			}
			continue
		}
		o.held, o.done = o.held[1:], name
		if !yield(name, nil) {
			return
		}
	}
}

// stem returns the shortest beginning of the name that may be a folder which
// is still to be listed although it sorts before the name; empty if none.
func (o *ordering) stem(name string) string {
	if o.ended {
		return ""
	}
	for i := range name {
		if stem := name[:i]; name[i] < '/' && stem > o.done {
			if stem+"/" > o.listed {
				return stem
			}
			return "" // longer ones come earlier in the listing
		}
	}
	return ""
}
