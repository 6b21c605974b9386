package testenv

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var readsVariable = regexp.MustCompile(`(?:Getenv|LookupEnv)\("([A-Za-z_]+)"\)|\b[Ee]nv\["([A-Za-z_]+)"\]`)

// Every variable that the product reads by name is one that Clear unsets. Variables of
// tests stay.
func TestEveryVariableIsCleared(t *testing.T) {
	found := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range readsVariable.FindAllStringSubmatch(string(text), -1) {
			found[match[1]+match[2]] = true
		}
		return err
	}))
	require.Contains(t, found, "ROPEWALK_STORE")
	for name := range found {
		require.True(t, Read(name) || strings.HasPrefix(name, "ROPEWALK_TEST_"), "%s is read, and names lacks it", name)
	}
}

func TestClear(t *testing.T) {
	for _, variable := range append(hostile, "ROPEWALK_TEST_KEPT=1") {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	Clear()
	for _, variable := range hostile {
		name, _, _ := strings.Cut(variable, "=")
		_, set := os.LookupEnv(name)
		require.False(t, set, name)
		require.True(t, Read(name), name)
	}
	require.Equal(t, "1", os.Getenv("ROPEWALK_TEST_KEPT"))
}
