package ropewalk_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// importRule says what a package may depend on, directly or not: which
// packages of the module, by folder, and whose client libraries. Its tests may
// import more.
type importRule struct{ code, services, tests string }

var importRules = map[string]importRule{
	"changeset":                       {code: "internal/unwrap"},
	"internal/body":                   {code: "changeset internal/unwrap"},
	"internal/link":                   {code: "changeset head internal/body internal/unwrap", tests: "internal"},
	"head":                            {code: "changeset internal/unwrap", tests: "internal/body internal/link"},
	"faults":                          {code: "changeset head internal/body internal/unwrap", tests: ". backends/backendtest backends/memstore internal"},
	"internal/walk":                   {code: "changeset head internal/body internal/link internal/parallel internal/unwrap", tests: "backends/backendtest"},
	".":                               {code: "changeset head internal/body internal/link internal/parallel internal/pause internal/reserved internal/walk internal/unwrap", tests: "backends/backendtest backends/memstore backends/sqlitestore faults internal modernc.org"},
	"internal/reserved":               {code: "changeset internal/unwrap"},
	"feed":                            {code: ". changeset head internal gc", tests: "backends/memstore backends/sqlitestore faults modernc.org"},
	"feed/feedtest":                   {code: "changeset head internal", tests: "backends/memstore"},
	"inspect":                         {code: ". changeset head internal", tests: "backends/memstore backends/sqlitestore faults modernc.org"},
	"gc":                              {code: ". changeset head internal", tests: "backends/memstore backends/sqlitestore faults inspect modernc.org"},
	"transfer":                        {code: ". changeset feed gc head internal", tests: "backends/backendtest backends/memstore backends/sqlitestore faults inspect modernc.org"},
	"archive":                         {code: ". changeset feed gc head internal", tests: "archive/archivetest backends/memstore backends/sqlitestore faults modernc.org"},
	"archive/archivetest":             {code: "archive . changeset feed gc head internal"},
	"aggregate":                       {code: ". changeset feed gc head internal", tests: "aggregate/aggregatetest backends/memstore faults internal"},
	"aggregate/aggregatetest":         {code: "aggregate . changeset feed gc head faults internal backends/memstore"},
	"projection":                      {code: "aggregate . changeset feed gc head internal", tests: "backends/memstore projection/projectiontest modernc.org faults"},
	"projection/projectiontest":       {code: "projection aggregate . changeset feed gc head internal backends/memstore", tests: "modernc.org"},
	"internal/sqlfaults":              {},
	"cache":                           {code: "changeset internal/admission internal/unwrap", tests: ". backends faults head internal modernc.org"},
	"hedge":                           {code: "changeset internal/admission internal/unwrap", tests: ". backends head internal modernc.org"},
	"internal/admission":              {code: "changeset internal/unwrap"},
	"internal/eventline":              {},
	"internal/pause":                  {},
	"internal/permits":                {},
	"internal/names":                  {code: ". changeset head internal", tests: "backends faults feed gc inspect modernc.org"},
	"internal/commitlog":              {code: "changeset head internal/reserved internal/unwrap", tests: "internal/body internal/link"},
	"backends/backendtest":            {code: "changeset head internal", tests: "backends/memstore"},
	"backends/memstore":               {code: "changeset head internal/body internal/commitlog internal/reserved internal/unwrap", tests: "backends/backendtest internal"},
	"backends/s3store":                {code: "changeset head internal", services: "github.com/aws", tests: "backends ."},
	"backends/dynamostore":            {code: "changeset head internal", services: "github.com/aws", tests: "backends ."},
	"backends/azurestore":             {code: "changeset head internal", services: "github.com/Azure", tests: "backends ."},
	"backends/sqlitestore":            {code: "changeset head internal", services: "modernc.org", tests: "backends ."},
	"cmd/ropewalk/internal/visible":   {},
	"cmd/ropewalk/internal/redact":    {},
	"cmd/ropewalk/internal/cliexit":   {code: ". changeset head internal feed gc backends/sqlitestore", services: "modernc.org"},
	"cmd/ropewalk/internal/ui":        {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/visible", services: "modernc.org"},
	"cmd/ropewalk/internal/reference": {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/ui cmd/ropewalk/internal/visible", services: "modernc.org"},
	"cmd/ropewalk/internal/ndjson":    {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit", services: "modernc.org"},
	"cmd/ropewalk/internal/figure":    {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/ui cmd/ropewalk/internal/visible inspect", services: "modernc.org"},
	"cmd/ropewalk/internal/inspector": {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/ui cmd/ropewalk/internal/visible cmd/ropewalk/internal/figure inspect", services: "modernc.org"},
	"cmd/ropewalk/internal/importer":  {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/ui cmd/ropewalk/internal/visible cmd/ropewalk/internal/ndjson", services: "modernc.org", tests: "backends/memstore"},
	"cmd/ropewalk/internal/location":  {code: ". changeset head internal feed gc backends/sqlitestore cmd/ropewalk/internal/cliexit cmd/ropewalk/internal/ui cmd/ropewalk/internal/visible archive backends", services: services},
	"publish/watermill":               {code: ". aggregate changeset feed gc head internal", tests: "backends/memstore faults gc"},
	"publish/webhook":                 {code: ". aggregate changeset feed gc head internal", tests: "backends/memstore gc faults"},
	"observe/otelropewalk":            {code: ". cache changeset feed gc head internal", tests: "backends/backendtest backends/memstore faults gc"},
	"examples/follow":                 {code: ". changeset feed head internal gc backends/sqlitestore", services: "modernc.org"},
	"examples/lambda":                 {code: ". changeset feed head internal gc backends/s3store backends/dynamostore", services: "github.com/aws", tests: "backends/memstore"},
	"examples/azurefunction":          {code: ". changeset feed head internal gc backends/azurestore", services: "github.com/Azure", tests: "backends/memstore"},
	"examples/orderboard":             {code: "aggregate . changeset feed gc head internal", services: "github.com/aws"},
	"examples/orders":                 {code: "aggregate projection backends . changeset feed gc head internal", services: services, tests: "faults gc"},
}

// services are where client libraries come from.
const services = "github.com/aws github.com/Azure modernc.org"

func TestImportsRunOneWay(t *testing.T) {
	code, tests := imports(t)
	for folder := range code {
		if _, ruled := importRules[folder]; below(folder, "backends publish observe") {
			require.True(t, ruled, "%s has no rule", folder)
		}
	}
	for folder, rule := range importRules {
		t.Run(folder, func(t *testing.T) {
			require.NotEmpty(t, code[folder], "there is no such package")
			require.Empty(t, rule.broken(folder, dependencies(code, code[folder], nil)), "what it depends on")
			rule.code, rule.services = rule.code+" "+rule.tests, rule.services+" "+rule.tests
			require.Empty(t, rule.broken(folder, dependencies(code, tests[folder], nil)), "what its tests depend on")
		})
	}
}

// broken returns the imports that the rule does not allow.
func (r importRule) broken(folder string, paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		if within, ok := moduleFolder(path); ok {
			return below(within, r.code+" "+folder)
		}
		return !below(path, services) || below(path, r.services)
	})
}

// below reports whether one of the folders is, or holds, the path.
func below(path, folders string) bool {
	return slices.ContainsFunc(strings.Fields(folders), func(folder string) bool {
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// moduleFolder returns the folder of a package of this module.
func moduleFolder(path string) (string, bool) {
	if path == modulePath {
		return ".", true
	}
	return strings.CutPrefix(path, modulePath+"/")
}

// modulePath is the path of this package, without the suffix of its tests.
var modulePath = strings.TrimSuffix(reflect.TypeFor[importRule]().PkgPath(), "_test")

// dependencies appends the imports to found, and the imports of every imported
// package of this module.
func dependencies(code map[string][]string, imports, found []string) []string {
	for _, path := range imports {
		if slices.Contains(found, path) {
			continue
		}
		found = append(found, path)
		if folder, ok := moduleFolder(path); ok {
			found = dependencies(code, code[folder], found)
		}
	}
	return found
}

// imports reads what each folder's code and its tests import, whatever their build tags.
func imports(t *testing.T) (code, tests map[string][]string) {
	code, tests = map[string][]string{}, map[string][]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		of := code
		if strings.HasSuffix(path, "_test.go") {
			of = tests
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			of[folder] = append(of[folder], imported)
		}
		return nil
	}))
	return code, tests
}
