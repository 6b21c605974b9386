package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// check is one condition of the source: the bytes from start to end.
type check struct {
	file       string
	line       int
	start, end int
}

func (c check) String() string { return fmt.Sprintf("%s:%d", c.file, c.line) }

// checks returns the checks of the package in a folder: the conditions of if
// statements, and the cases of switches without a tag, whose branch returns an
// error that it makes, or sets a reason. Conditions that only pass an error on
// are not checks.
func checks(folder string) ([]check, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var found []check
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, condition := range conditions(n) {
				at := files.Position(condition.Pos())
				found = append(found, check{name, at.Line, at.Offset, files.Position(condition.End()).Offset})
			}
			return true
		})
	}
	return found, nil
}

// conditions returns the conditions of the node that are checks.
func conditions(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.IfStmt:
		if rejects(n.Body.List) {
			return []ast.Expr{n.Cond}
		}
	case *ast.SwitchStmt:
		var found []ast.Expr
		for _, s := range n.Body.List {
			if clause := s.(*ast.CaseClause); n.Tag == nil && rejects(clause.Body) {
				found = append(found, clause.List...)
			}
		}
		return found
	}
	return nil
}

// rejects reports whether the branch belongs to a failed check: its last
// statement makes an error, by a call or a literal, or assigns a reason.
func rejects(branch []ast.Stmt) bool {
	if len(branch) == 0 {
		return false
	}
	switch last := branch[len(branch)-1].(type) {
	case *ast.ReturnStmt:
		if len(last.Results) == 0 {
			return false
		}
		return makesError(last.Results[len(last.Results)-1])
	case *ast.AssignStmt:
		name, ok := last.Lhs[0].(*ast.Ident)
		return ok && (name.Name == "reason" || name.Name == "err" && makesError(last.Rhs[0]))
	}
	return false
}

// makesError reports whether the expression makes an error: fmt.Errorf,
// errors.New, a literal of an error type, or a sentinel.
func makesError(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CallExpr:
		s, ok := e.Fun.(*ast.SelectorExpr)
		return ok && (s.Sel.Name == "Errorf" || s.Sel.Name == "New" && fmt.Sprint(s.X) == "errors")
	case *ast.UnaryExpr:
		literal, ok := e.X.(*ast.CompositeLit)
		return ok && e.Op == token.AND && namesError(literal.Type)
	case *ast.Ident, *ast.SelectorExpr:
		return namesError(e)
	}
	return false
}

func namesError(e ast.Expr) bool {
	if s, ok := e.(*ast.SelectorExpr); ok {
		e = s.Sel
	}
	name, ok := e.(*ast.Ident)
	return ok && (strings.HasSuffix(name.Name, "Error") || len(name.Name) > 3 && strings.HasPrefix(strings.ToLower(name.Name), "err"))
}

// choose returns n of the checks, or all of them if n is 0.
func choose(found []check, n int, seed uint64) []check {
	if n == 0 || n >= len(found) {
		return found
	}
	var chosen []check
	for _, at := range rand.New(rand.NewPCG(seed, 0)).Perm(len(found))[:n] {
		chosen = append(chosen, found[at])
	}
	return chosen
}

// broken returns the source of the file with a check that never fires. The
// condition stays, so that its names are used.
func (c check) broken() ([]byte, error) {
	source, err := os.ReadFile(c.file)
	if err != nil {
		return nil, err
	}
	condition := string(source[c.start:c.end])
	return []byte(string(source[:c.start]) + "false && (" + condition + ")" + string(source[c.end:])), nil
}

// overlay writes the broken file to a temporary folder, and returns the name of
// the overlay that puts it in its place for a build.
func (c check) overlay() (name string, remove func(), err error) {
	source, err := c.broken()
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(folder) }
	file, err := filepath.Abs(c.file)
	if err != nil {
		return "", remove, err
	}
	mutated := filepath.Join(folder, filepath.Base(c.file))
	name = filepath.Join(folder, "overlay.json")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutated}})
	if err != nil {
		return "", remove, err
	}
	if err := os.WriteFile(mutated, source, 0o600); err != nil {
		return "", remove, err
	}
	return name, remove, os.WriteFile(name, replaced, 0o600)
}
