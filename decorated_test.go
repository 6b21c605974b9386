package ropewalk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// interfaces are the interface packages, with the check of their decorators.
var interfaces = map[string]string{"changeset": "TestChangesetDecorator", "head": "TestHeadDecorator"}

// storeMethods are the methods by which a type is known to be a store.
var storeMethods = map[string][]string{"changeset": {"Put", "Get", "Stat"}, "head": {"Load", "Swap", "List"}}

// Each type that wraps a store must be a decorator, and each decorator must be
// held to its contract: one that hides an optional interface changes which
// requests are made.
func TestEveryDecoratorIsHeldToItsContract(t *testing.T) {
	decorators, tests := map[string]int{}, map[string]int{}
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasPrefix(path, "backends/backendtest/") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for pkg, check := range interfaces {
			key := filepath.Dir(path) + " " + pkg
			if strings.HasSuffix(path, "_test.go") {
				tests[key] += selected(file, "backendtest", check)
				continue
			}
			require.Empty(t, wrappers(file, pkg), "%s: a type that wraps a store must embed %s.PassThrough", path, pkg)
			if n := len(having(file, pkg, "PassThrough")); n > 0 {
				decorators[key] += n
			}
		}
		return nil
	}))
	require.NotEmpty(t, decorators)
	for key, n := range decorators {
		require.Equal(t, n, tests[key], "%s: decorators that its tests hold to their contract", key)
	}
}

// selected counts the uses of a name of another package.
func selected(file *ast.File, pkg, name string) (n int) {
	ast.Inspect(file, func(node ast.Node) bool {
		if isSelector(node, pkg, name) {
			n++
		}
		return true
	})
	return n
}

func isSelector(node ast.Node, pkg, name string) bool {
	s, ok := node.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// wrappers returns the types that have a store of the pkg, and methods of such
// a store: they hide its optional interfaces.
func wrappers(file *ast.File, pkg string) (names []string) {
	for _, name := range having(file, pkg, "Store") {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && receiver(f) == name && slices.Contains(storeMethods[pkg], f.Name.Name) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, _ := typ.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

// having returns the struct types that have a field of another package's type.
func having(file *ast.File, pkg, name string) (names []string) {
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if isSelector(f.Type, pkg, name) {
					names = append(names, spec.Name.Name)
				}
			}
		}
		return true
	})
	return names
}
