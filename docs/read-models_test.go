package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The program on the page about read models prints what its comment says. The pieces
// that are not programs pass vet within one.
func TestReadModelCodeRuns(t *testing.T) {
	page := pages(t, "read-models.md")["read-models.md"]
	var code []string
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1) {
		code = append(code, block[1])
	}
	require.Len(t, code, 5)
	main, _, _ := strings.Cut(code[0], "\nfunc place(")
	require.Equal(t, outputComment(t, main), runProgram(t, code[0]))

	source := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(source, []byte(fmt.Sprintf(`package main

import (
	"context"
	"database/sql"
	"log"
	"path/filepath"
	"testing"
	"time"

	"ropewalk"
	"ropewalk/feed"
	"ropewalk/projection"
	"ropewalk/projection/projectiontest"
)

var (
	createTables func(context.Context, *sql.DB) error
	handler      projection.Handler
	openOrders   func(context.Context, *sql.DB) (map[string]int, error)
	placeOrders  func(context.Context, *ropewalk.Store) error
)

func run(ctx context.Context, db *sql.DB, f *feed.Feed) error {
%s	return err
}

func rebuild(ctx context.Context, db *sql.DB, f *feed.Feed) error {
%s	return err
}

func lag(ctx context.Context, openOrders *projection.Projection, f *feed.Feed) error {
%s	return nil
}

%s
func main() { _, _, _, _ = run, rebuild, lag, TestOpenOrders }
`, code[1], code[2], code[3], code[4])), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
