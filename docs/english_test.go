package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// phrases are the wordings that a native reader stumbles on, with better ones.
// CONTRIBUTING.md has the rules that they break. In a pattern a space matches
// any white space, so that phrases are found across the end of a line.
var phrases = []struct{ pattern, better, example string }{
	{`any more`, "no longer", "It is not stored any more."},
	{`anew`, "again, rebuild", "The index is built anew."},
	{`behind (the|a|its|their|one|another) (heads?|changesets?|versions?|appends?|swaps?|revisions?|conflict|last)`, "after", "An append behind the head it read."},
	{`needs not`, "need not, does not need", "A reader needs not know it."},
	{`an? (contents?|advice|information)`, "content, without an article", "It reads a content."},
	{`(nobody|no one) (knows?|can know)`, "unknown", "An outcome that nobody knows."},
	{`untold`, "unknown", "The versions below are untold."},
	{`(it|that|which|there|this|he|they) (is|was|are|were) none`, "repeat the noun", "A line that is none is skipped."},
	{`belongs? into`, "belongs in", "It belongs into Update."},
	{`(that|those) of`, "repeat the noun", "Its digest, and that of the parent."},
	{`[.!?] (who|what) (is|are|was|were|has|have|can|reads|appends|ends|calls|needs)`, "start with the noun", "It ends. What is lost stays lost."},
	{`(whoever|whomever|whosoever)`, "a caller, a reader, another writer", "Whoever reads it finds the head."},
	{`somebody else`, "another writer, another process", "It was somebody else."},
	{`by itself`, "on its own, automatically", "The server does it by itself."},
	{`thereby`, "so, and so", "It is fenced and thereby lost."},
	{`(is|are|was|were) not there`, "is missing, does not exist", "The object is not there."},
	{`all that is (needed|known|stored|left|wrong)`, "everything that is …, or name the things", "It deletes all that is left."},
	{`of which nobody`, "unknown", "A swap of which nobody heard."},
	{`can not`, "cannot", "It can not be read."},
	{`storages`, "storage services, backends", "Over two storages."},
}

// stumble is a phrase in a text.
type stumble struct {
	line           int // from 0
	phrase, better string
}

// patterns are the compiled patterns of phrases.
var patterns = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, p := range phrases {
		all = append(all, regexp.MustCompile(`\b`+strings.ReplaceAll(p.pattern, " ", `\s+`)+`\b`))
	}
	return all
})

// stumbles returns the phrases in a text, in the order of the list.
func stumbles(text string) (all []stumble) {
	lower := strings.ToLower(text)
	for i, pattern := range patterns() {
		for _, at := range pattern.FindAllStringIndex(lower, -1) {
			all = append(all, stumble{strings.Count(lower[:at[0]], "\n"), strings.Join(strings.Fields(lower[at[0]:at[1]]), " "), phrases[i].better})
		}
	}
	return all
}

func TestEveryPhraseIsFound(t *testing.T) {
	for _, p := range phrases {
		found := stumbles("First line.\n" + strings.Replace(p.example, " ", "\n", 2))
		require.NotEmpty(t, found, p.pattern)
		require.True(t, slices.ContainsFunc(found, func(s stumble) bool { return s.better == p.better && s.line > 0 }), p.pattern)
	}
	require.Empty(t, stumbles("No longer built again after the head: the outcome is unknown, the content need not exist."))
}

// TestEnglish fails on the phrases in comments of Go code, in its strings, which
// are errors and help, and in Markdown.
func TestEnglish(t *testing.T) {
	for path := range sources(t, ".go", ".md") {
		for _, p := range passages(t, path) {
			for _, s := range stumbles(p.text) {
				t.Errorf("%s:%d: %q: write %s", strings.TrimPrefix(path, "../"), p.line+s.line, s.phrase, s.better)
			}
		}
	}
}

// passage is text that begins at a line of a file.
type passage struct {
	line int
	text string
}

func passages(t *testing.T, path string) []passage {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	if filepath.Ext(path) == ".md" {
		return []passage{{1, withoutWordList(string(text))}}
	}
	return goPassages(t, path, text)
}

// withoutWordList empties the rows of the table in CONTRIBUTING.md that lists
// the words to avoid.
func withoutWordList(page string) string {
	before, list, found := strings.Cut(page, "| word | not |\n")
	if !found {
		return page
	}
	list, after, _ := strings.Cut(list, "\n\n")
	return before + strings.Repeat("\n", 2+strings.Count(list, "\n")) + "\n" + after
}

// goPassages returns a file's comments and, unless it is a test, its strings.
func goPassages(t *testing.T, path string, source []byte) (all []passage) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, group := range file.Comments {
		var text strings.Builder
		for _, c := range group.List {
			text.WriteString(strings.TrimPrefix(c.Text, "//") + "\n")
		}
		all = append(all, passage{files.Position(group.Pos()).Line, text.String()})
	}
	if strings.HasSuffix(path, "_test.go") {
		return all
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err, fmt.Sprint(files.Position(literal.Pos())))
			all = append(all, passage{files.Position(literal.Pos()).Line, text})
		}
		return true
	})
	return all
}
