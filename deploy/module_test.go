package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// values are what expressions refer to, such as {"var": …}, or what an
// attribute is expected to be.
type values map[string]any

// module is a Terraform module, with values for its variables and for what
// its resources are known by once they are there.
type module struct {
	t      *testing.T
	blocks hclsyntax.Blocks
	known  *hcl.EvalContext
}

// load reads the module in a folder. Variables that are not given have their
// defaults.
func load(t *testing.T, folder string, variables, resources values) module {
	t.Helper()
	m := parse(t, folder)
	for name, value := range resources {
		m.known.Variables[name] = toCty(value)
	}
	m.known.Variables["path"] = toCty(values{"module": folder})
	m.known.Variables["var"] = cty.ObjectVal(m.variables(variables))
	m.locals()
	return m
}

// parse reads a module without giving any values.
func parse(t *testing.T, folder string) module {
	t.Helper()
	m := module{t: t, known: &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: functions}}
	files, err := filepath.Glob(filepath.Join(folder, "*.tf"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		file, problems := hclparse.NewParser().ParseHCLFile(name)
		require.False(t, problems.HasErrors(), "%v", problems)
		m.blocks = append(m.blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return m
}

// attributeName returns the name of a step such as the .arn of a reference.
func attributeName(step hcl.Traverser) string {
	attribute, _ := step.(hcl.TraverseAttr)
	return attribute.Name
}

func (m module) variables(given values) map[string]cty.Value {
	all := map[string]cty.Value{}
	for _, b := range m.blocks {
		if b.Type != "variable" {
			continue
		}
		name := b.Labels[0]
		if value, ok := given[name]; ok {
			all[name] = toCty(value)
		} else if m.has(b, "default") {
			all[name] = m.value(b, "default")
		} else {
			require.Fail(m.t, "a variable without a default is not given", name)
		}
	}
	for name := range given {
		require.Contains(m.t, all, name, "there is no such variable")
	}
	return all
}

// locals evaluates the local values, each after those that it refers to.
func (m module) locals() {
	all, exprs := map[string]cty.Value{}, map[string]hclsyntax.Expression{}
	for _, b := range m.blocks {
		if b.Type == "locals" {
			for name, a := range b.Body.Attributes {
				exprs[name] = a.Expr
			}
		}
	}
	for range exprs {
		m.known.Variables["local"] = cty.ObjectVal(all)
		for name, expr := range exprs {
			if value, problems := expr.Value(m.known); !problems.HasErrors() {
				all[name] = value
			}
		}
	}
	require.Len(m.t, all, len(exprs))
	m.known.Variables["local"] = cty.ObjectVal(all)
}

// block returns the only block with that type and these labels.
func (m module) block(kind string, labels ...string) *hclsyntax.Block {
	m.t.Helper()
	return m.only(m.blocks, kind, labels...)
}

// within returns the only block of each type within the one before.
func (m module) within(b *hclsyntax.Block, path ...string) *hclsyntax.Block {
	m.t.Helper()
	for _, kind := range path {
		b = m.only(b.Body.Blocks, kind)
	}
	return b
}

func (m module) only(blocks hclsyntax.Blocks, kind string, labels ...string) *hclsyntax.Block {
	m.t.Helper()
	var found hclsyntax.Blocks
	for _, b := range blocks {
		if b.Type == kind && (labels == nil || slices.Equal(b.Labels, labels)) {
			found = append(found, b)
		}
	}
	require.Len(m.t, found, 1, "%s %q", kind, labels)
	return found[0]
}

func (m module) has(b *hclsyntax.Block, attribute string) bool {
	return b.Body.Attributes[attribute] != nil
}

// value evaluates an attribute; each, if given, is the key and the value of
// the block's for_each.
func (m module) value(b *hclsyntax.Block, attribute string, each ...cty.Value) cty.Value {
	m.t.Helper()
	require.True(m.t, m.has(b, attribute), "%s %q has no %s", b.Type, b.Labels, attribute)
	known := m.known.NewChild()
	if len(each) == 2 {
		known.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": each[0], "value": each[1]})}
	}
	value, problems := b.Body.Attributes[attribute].Expr.Value(known)
	require.False(m.t, problems.HasErrors(), "%v", problems)
	return value
}

// requireAttributes checks that a block has these attributes with these
// values, and no others but those named.
func (m module) requireAttributes(b *hclsyntax.Block, want values, others ...string) {
	m.t.Helper()
	got := values{}
	for name := range b.Body.Attributes {
		if !slices.Contains(others, name) {
			got[name] = fromCty(m.value(b, name))
		}
	}
	require.Equal(m.t, want, got, "%s %q", b.Type, b.Labels)
}

// everywhere calls visit for every block of the module, at any depth.
func everywhere(blocks hclsyntax.Blocks, visit func(*hclsyntax.Block)) {
	for _, b := range blocks {
		visit(b)
		everywhere(b.Body.Blocks, visit)
	}
}

// functions are the Terraform functions that the modules use.
var functions = map[string]function.Function{
	"can":        tryfunc.CanFunc,
	"concat":     stdlib.ConcatFunc,
	"contains":   stdlib.ContainsFunc,
	"flatten":    stdlib.FlattenFunc,
	"jsondecode": stdlib.JSONDecodeFunc,
	"jsonencode": stdlib.JSONEncodeFunc,
	"lookup":     stdlib.LookupFunc,
	"regex":      stdlib.RegexFunc,
	"toset":      stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"alltrue": function.New(&function.Spec{
		Params: []function.Parameter{{Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(!slices.ContainsFunc(args[0].AsValueSlice(), cty.Value.False)), nil
		},
	}),
	"file": function.New(&function.Spec{
		Params: []function.Parameter{{Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := os.ReadFile(args[0].AsString())
			return cty.StringVal(string(text)), err
		},
	}),
	"templatefile": function.New(&function.Spec{
		Params: []function.Parameter{{Type: cty.String}, {Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := os.ReadFile(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			template, problems := hclsyntax.ParseTemplate(text, args[0].AsString(), hcl.InitialPos)
			if problems.HasErrors() {
				return cty.NilVal, problems
			}
			value, problems := template.Value(&hcl.EvalContext{Variables: args[1].AsValueMap()})
			if problems.HasErrors() {
				return cty.NilVal, problems
			}
			return value, nil
		},
	}),
}

func toCty(v any) cty.Value {
	switch v := v.(type) {
	case string:
		return cty.StringVal(v)
	case bool:
		return cty.BoolVal(v)
	case int:
		return cty.NumberIntVal(int64(v))
	case []any:
		list := make([]cty.Value, len(v))
		for i, item := range v {
			list[i] = toCty(item)
		}
		return cty.TupleVal(list)
	case values:
		object := map[string]cty.Value{}
		for name, item := range v {
			object[name] = toCty(item)
		}
		return cty.ObjectVal(object)
	}
	panic("a value of another type")
}

func fromCty(v cty.Value) any {
	switch t := v.Type(); {
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		n, _ := v.AsBigFloat().Int64()
		return int(n)
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		list := []any{}
		for _, item := range v.AsValueSlice() {
			list = append(list, fromCty(item))
		}
		return list
	}
	object := values{}
	for name, item := range maps.All(v.AsValueMap()) {
		object[name] = fromCty(item)
	}
	return object
}
