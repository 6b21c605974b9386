// Package folders puts the folders of a listing in the order of their names.
//
// Object storages list folders by name and slash: "a-b/" comes before "a/",
// and so does "a%2Eb/", since "-" and "%" sort before "/". Aggregates are
// listed by name alone: "a" comes first.
package folders

import (
	"iter"
	"slices"
)

// Page is one page of a listing of folders, in the storage's own order.
type Page struct {
	// Names are the folders' names, without the slash.
	Names []string
	// Last says that no page follows.
	Last bool
}

// InOrder yields the names of the folders that sort behind after, in order,
// each once, and holds no more than a page. Where a page ends before it has
// come to a folder that belongs in front of it, exists is asked for that one:
// at most once for each, and only for stems of the page's last name. An error
// of the pages or of exists ends it.
func InOrder(pages iter.Seq2[Page, error], exists func(name string) (bool, error), after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		o := ordering{exists: exists, after: after, early: map[string]bool{}}
		for page, err := range pages {
			var names []string
			if err == nil {
				names, err = o.next(page)
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// ordering is the state of InOrder from page to page.
type ordering struct {
	exists func(string) (bool, error)
	after  string
	// open are the stems that the listing has still to come to. All of them
	// have been asked for.
	open []string
	// early are the folders that were yielded before the listing came to them.
	early map[string]bool
}

// next returns the names to yield for a page, in order.
func (o *ordering) next(page Page) ([]string, error) {
	var names []string
	for _, name := range page.Names {
		if name > o.after && !o.early[name] {
			names = append(names, name)
		}
		delete(o.early, name)
	}
	if n := len(page.Names); n > 0 && !page.Last {
		stems := stemsOf(page.Names[n-1])
		for _, stem := range stems {
			if stem <= o.after || slices.Contains(o.open, stem) {
				continue
			}
			found, err := o.exists(stem)
			if err != nil {
				return nil, err
			}
			if found {
				names = append(names, stem)
				o.early[stem] = true
			}
		}
		o.open = stems
	}
	slices.Sort(names)
	return names, nil
}

// stemsOf returns the names that sort before name, and whose folders a listing
// comes to behind that of name: they go on with a byte that sorts before "/".
func stemsOf(name string) []string {
	var stems []string
	for i := 1; i < len(name); i++ {
		if name[i] < '/' {
			stems = append(stems, name[:i])
		}
	}
	return stems
}
