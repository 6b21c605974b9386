package main

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/hedge"
	"ropewalk/internal/meter"
)

// The interfaces of the two seams. The ones that a storage may lack are optional;
// a decorator that hid one would change which requests are made.
var (
	changesetInterfaces = map[string]reflect.Type{
		"Store": reflect.TypeFor[changeset.Store](), "ManyGetter": reflect.TypeFor[changeset.ManyGetter](),
		"Decorator": reflect.TypeFor[changeset.Decorator](), "Lister": reflect.TypeFor[changeset.Lister](),
		"Deleter": reflect.TypeFor[changeset.Deleter](), "Locator": reflect.TypeFor[changeset.Locator](),
	}
	headInterfaces = map[string]reflect.Type{
		"Store": reflect.TypeFor[head.Store](), "Refresher": reflect.TypeFor[head.Refresher](),
		"Combined": reflect.TypeFor[head.Combined](), "Locator": reflect.TypeFor[head.Locator](),
	}
)

// wholeObjects and wholeHeads have every interface of their seams that a
// decorator can pass on.
type wholeObjects struct {
	changeset.Store
	changeset.Lister
	changeset.Deleter
	changeset.Locator
}

type wholeHeads struct {
	head.Store
	head.Locator
}

func (wholeHeads) Refresh(_ context.Context, h head.Head) (head.Head, error) { return h, nil }

func (wholeHeads) Commit(_ context.Context, _ []changeset.Changeset, _, next head.Head) (head.Head, error) {
	return next, nil
}

func (wholeHeads) Holds(changeset.Store) bool { return true }

func TestDecoratorsHideNoInterface(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(changesetInterfaces)), interfacesIn(t, "../../changeset/store.go"), "a new interface belongs in this test")
	require.Equal(t, slices.Sorted(maps.Keys(headInterfaces)), interfacesIn(t, "../../head/store.go"), "a new interface belongs in this test")

	var script faults.Script
	m := meter.New(0)
	cached, err := cache.New(wholeObjects{}, nil)
	require.NoError(t, err)
	verboseObjects, verboseHeads := logged(slog.New(slog.DiscardHandler), wholeObjects{}, wholeHeads{})
	for name, test := range map[string]struct {
		store  any
		all    map[string]reflect.Type
		hidden []string // on purpose
	}{
		"--verbose, changesets": {store: verboseObjects, all: changesetInterfaces},
		"--verbose, heads":      {store: verboseHeads, all: headInterfaces},
		"cache":                 {store: cached, all: changesetInterfaces},
		"hedge":                 {store: hedge.New(wholeObjects{}, nil), all: changesetInterfaces},
		// Requests through a meter or a script must not go around it: a commit is
		// known to put through it by its heads alone.
		"meter, changesets": {store: m.Changesets(wholeObjects{}), all: changesetInterfaces, hidden: []string{"Decorator"}},
		"meter, heads":      {store: m.Heads(wholeHeads{}), all: headInterfaces},
		// A fault happens to one Get.
		"faults, changesets": {store: script.Changesets(wholeObjects{}), all: changesetInterfaces, hidden: []string{"Decorator", "ManyGetter"}},
		"faults, heads":      {store: script.Heads(wholeHeads{}), all: headInterfaces},
		"faults.TwoSteps":    {store: faults.TwoSteps(wholeHeads{}), all: headInterfaces, hidden: []string{"Combined"}},
	} {
		var hidden []string
		for _, i := range slices.Sorted(maps.Keys(test.all)) {
			if !reflect.TypeOf(test.store).Implements(test.all[i]) {
				hidden = append(hidden, i)
			}
		}
		require.Equal(t, test.hidden, hidden, name)
	}
}

// interfacesIn returns the names of the interfaces that a file declares, sorted.
func interfacesIn(t *testing.T, path string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if _, is := spec.Type.(*ast.InterfaceType); is {
				names = append(names, spec.Name.Name)
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}
