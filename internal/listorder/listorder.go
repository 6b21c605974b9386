// Package listorder puts the folders of a listing in the order of their names.
//
// Object stores list folders by name and slash: "a-b/" comes before "a/",
// and so does "a%2Eb/", since "-" and "%" sort before "/". Aggregates are
// listed by name alone: "a" comes first.
package listorder

import (
	"iter"
	"slices"
)

// Page is one page of a listing of folders, in the storage's own order: by
// name and slash, or by name.
type Page struct {
	// Names are the folders' names, without the slash.
	Names []string
	// Last says that no page follows.
	Last bool
}

// InOrder yields the names of the folders that follow after, in order,
// each once. A name is held back until the listing is past its stem, such as
// "a" for "a-b". That may be far away; where a page ends before it, exists is
// asked instead of holding back more than a page. An error of the pages or of
// exists ends it.
func InOrder(pages iter.Seq2[Page, error], exists func(name string) (bool, error), after string) iter.Seq2[string, error] {
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

// ordering is the state of InOrder: the sorted names that are held back, how
// far the listing has come, and the name up to which all is yielded.
type ordering struct {
	exists func(name string) (bool, error)
	held   []string
	listed string
	ended  bool
	done   string
}

func (o *ordering) add(page Page) {
	for _, name := range page.Names {
		o.listed = name + "/"
		if i, found := slices.BinarySearch(o.held, name); name > o.done && !found {
			o.held = slices.Insert(o.held, i, name)
		}
	}
	o.ended = page.Last
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
