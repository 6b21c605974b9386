package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An archive has the same bytes, wherever and whenever its files were written.
func TestArchivesAreReproducible(t *testing.T) {
	for _, zipped := range []bool{false, true} {
		var written [2][]byte
		for i := range written {
			folder := t.TempDir()
			r := release{version: "v1.2.0", out: folder, time: time.Unix(1_700_000_000, 0).UTC()}
			path := filepath.Join(folder, "source")
			require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("text\n"), 1000), []os.FileMode{0o600, 0o755}[i]))
			require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(int64(i), 0)))
			require.NoError(t, r.archive("ropewalk_v1.2.0_plan9_386", zipped, []file{{"README.md", path, 0o644}, {"ropewalk", path, 0o755}}))
			require.NoError(t, os.Remove(path))
			require.NoError(t, r.sums())
			sums, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
			require.NoError(t, err)
			name := "ropewalk_v1.2.0_plan9_386" + map[bool]string{false: ".tar.gz", true: ".zip"}[zipped]
			written[i], err = os.ReadFile(filepath.Join(folder, name))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%x  %s\n", sha256.Sum256(written[i]), name), string(sums))
		}
		require.Equal(t, written[0], written[1])
	}
}

// The list of modules has every module of the program, and the standard library.
func TestModulesAreListed(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := modules(self, "v1.2.0")
	require.NoError(t, err)
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	require.NoError(t, json.Unmarshal(text, &bom))
	require.Equal(t, "CycloneDX", bom.BOMFormat)
	versions := map[string]string{}
	for _, c := range bom.Components {
		versions[c.Name] = c.Version
		require.Equal(t, "pkg:golang/"+c.Name+"@"+c.Version, c.PURL)
	}
	require.Equal(t, runtime.Version(), versions["std"])
	info, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	require.NotEmpty(t, info.Deps)
	for _, m := range info.Deps {
		require.Equal(t, m.Version, versions[m.Path])
	}
	again, err := modules(self, "v1.2.0")
	require.NoError(t, err)
	require.Equal(t, text, again)
}

func TestAVersionIsDemanded(t *testing.T) {
	require.ErrorContains(t, release{out: t.TempDir()}.make(nil), "make release VERSION=v1.2.0")
}
