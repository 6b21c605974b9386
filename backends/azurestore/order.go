package azurestore

import (
	"iter"
	"slices"
)

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
