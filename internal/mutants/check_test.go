package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `package p

import (
	"errors"
	"fmt"
)

var errSmall = errors.New("small")

type SizeError struct{ n int }

func (*SizeError) Error() string { return "size" }

func check(n int, err error) error {
	if n < 0 {
		return errSmall
	}
	if n > 9 {
		n--
		return &SizeError{n}
	}
	if err != nil {
		return err
	}
	reason := ""
	switch {
	case n == 1, n == 2:
		reason = "one or two"
	case n == 3:
		return fmt.Errorf("three")
	case n == 4:
		return nil
	}
	switch n {
	case 5:
		return errors.New("five")
	}
	if n == 6 {
		return helper()
	}
	return fmt.Errorf("%s", reason)
}

func helper() error { return nil }
`

// TestChecksAreFound also shows that each mutant differs from the source in
// its condition alone.
func TestChecksAreFound(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "p.go"), []byte(sample), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "p_test.go"), []byte(sample), 0o600))
	found, err := checks(folder)
	require.NoError(t, err)
	var conditions []string
	for _, c := range found {
		condition := sample[c.start:c.end]
		conditions = append(conditions, condition)
		source, err := c.broken()
		require.NoError(t, err)
		require.Equal(t, strings.Replace(sample, condition, "false && ("+condition+")", 1), string(source))
	}
	require.Equal(t, []string{"n < 0", "n > 9", "n == 1", "n == 2", "n == 3"}, conditions)
	require.Len(t, choose(found, 2, 7), 2)
	require.Len(t, choose(found, 0, 7), 5)
}

// TestBrokenChecksAreNoticed runs the command over a package whose tests
// notice one of two broken checks.
func TestBrokenChecksAreNoticed(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module p\n\ngo 1.26\n",
		"p.go": `package p

import "errors"

func Check(n int) error {
	if n < 0 {
		return errors.New("negative")
	}
	if n > 9 {
		return errors.New("large")
	}
	return nil
}
`,
		"p_test.go": `package p

import "testing"

func TestNegative(t *testing.T) {
	if Check(-1) == nil || Check(1) != nil {
		t.Fatal("wrong")
	}
}
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	t.Chdir(folder)
	require.NoError(t, run(t.Context(), []string{"."}, 0, 1, 50))
	require.ErrorContains(t, run(t.Context(), []string{"."}, 0, 1, 51), "fewer than 51 %")
	require.ErrorContains(t, run(t.Context(), nil, 0, 1, 0), "name the packages")
}
