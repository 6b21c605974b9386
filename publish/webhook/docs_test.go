package webhook_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The part of the page on webhooks quotes the examples of this package, which are
// compiled, and the golden body.
func TestThePageQuotesTheExamples(t *testing.T) {
	page := read(t, "../../docs/publishing.md")
	_, section, found := strings.Cut(page, "\n## Webhooks\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for language, source := range map[string]string{
		"go":   read(t, "example_test.go"),
		"json": read(t, "testdata/bodies.ndjson.golden"),
	} {
		blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(section, -1)
		require.NotEmpty(t, blocks, language)
		for _, block := range blocks {
			require.Contains(t, source, block[1])
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}
