package watermill_test

import (
	"go/format"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The part of the page on message brokers quotes the examples of this package, which
// are compiled. The programs for brokers whose modules the tests do not have are at
// least well-formed.
func TestThePageQuotesTheExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/publishing.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Message brokers\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := 0
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(section, -1) {
		if !regexp.MustCompile(`\b(kafka|sns|sqs|amqp)\.`).MatchString(block[1]) {
			require.Contains(t, string(examples), block[1])
			quoted++
		}
		formatted, err := format.Source([]byte(block[1]))
		require.NoError(t, err)
		require.Equal(t, string(formatted), block[1])
	}
	require.Equal(t, 3, quoted)
}
