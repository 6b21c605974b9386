// Package location opens the storage that the URL of a store names: a SQLite file,
// memory, or a service in a cloud. It also logs the requests to a storage.
package location

import (
	"context"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/internal/finding"
	"ropewalk/internal/storeurl"
)

// Location is the storage that the URL of a store names. It may be missing: a
// Location is made without a request.
type Location interface {
	// Open returns the storage. If a file is missing, it creates the file if create
	// is set, and returns a [*finding.SetupError] otherwise.
	Open(ctx context.Context, create bool) (*Opened, error)
	// Provision creates what is missing.
	Provision(ctx context.Context) error
	// Check reports what exists and what is missing. It changes nothing.
	Check(ctx context.Context) ([]finding.Finding, error)
	// Policy returns the access policy for a role: writer, reader, maintainer,
	// relay or subscriber. A storage without policies, or without such a role, returns
	// an error of class [cliexit.Usage].
	Policy(role string) (string, error)
}

// Objects is a store of changesets with everything that the command needs.
type Objects interface {
	changeset.Store
	changeset.Lister
	changeset.Deleter
	changeset.Locator
}

// Heads is a store of heads with everything that the command needs.
type Heads interface {
	head.Store
	head.Locator
}

// Opened is an open storage: both stores, and how to close them.
type Opened struct {
	Objects Objects
	Heads   Heads
	Close   func() error // nil if there is nothing to close
}

// Layout returns how writers store their appends, by the parameters format and tip that
// the URL of every store may have. Its errors have class [cliexit.Usage].
func Layout(rawURL string) (storeurl.Layout, error) {
	_, layout, err := storeurl.CutLayout(rawURL)
	return layout, usage(err)
}

// Parse reads the URL of a store. Its errors have class [cliexit.Usage].
func Parse(rawURL string, env map[string]string) (Location, error) {
	rawURL, layout, err := storeurl.CutLayout(rawURL)
	if err != nil {
		return nil, usage(err)
	}
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return nil, cliexit.WithHint(cliexit.Usagef("store %q is not a URL", rawURL), "a SQLite file is %s", ui.Quote("file:"+rawURL))
	}
	switch scheme {
	case "file":
		if layout.TipSize != 0 {
			return nil, cliexit.Usagef("store %q: parameter tip is for stores in a cloud: a file has no tips", rawURL)
		}
		return parseFile(rawURL, rest)
	case "mem":
		if rest != "" {
			return nil, cliexit.Usagef("store %q: mem: stands alone", rawURL)
		}
		return memory{}, nil
	case "s3", "aws":
		return parseAWS(rawURL, layout, storeurl.LayoutParameters...)
	case "azure":
		return parseAzure(rawURL, env)
	default:
		return nil, cliexit.Usagef("store %q: %q is not one of file, mem, s3, aws and azure", rawURL, scheme)
	}
}
