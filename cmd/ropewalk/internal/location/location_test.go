package location

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/head"
)

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	l, err := Parse("file:"+path, nil)
	require.NoError(t, err)
	require.Equal(t, SQLiteFile(path), l)
	_, err = l.Open(t.Context(), false)
	require.ErrorContains(t, err, path)
	require.Equal(t, cliexit.Storage, cliexit.Classify(t.Context(), err))
	require.NoFileExists(t, path)

	require.NoError(t, l.Provision(t.Context()))
	findings, err := l.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, findings, 1)
	require.True(t, findings[0].OK)
	opened, err := l.Open(t.Context(), false)
	require.NoError(t, err)
	require.NoError(t, opened.Close())
	_, err = l.Policy("reader")
	require.Equal(t, cliexit.Usage, cliexit.Classify(t.Context(), err))
}

func TestMemory(t *testing.T) {
	l, err := Parse("mem:", nil)
	require.NoError(t, err)
	opened, err := l.Open(t.Context(), false)
	require.NoError(t, err)
	h, err := opened.Heads.Load(t.Context(), "order")
	require.NoError(t, err)
	require.Equal(t, head.Head{}, h)
	_, err = Parse("mem:x", nil)
	require.ErrorContains(t, err, "mem:")
}

// The policies of a cloud name the storage of the URL.
func TestPolicies(t *testing.T) {
	for url, names := range map[string][]string{
		"s3://b/p?region=r":               {"arn:aws:s3:::b", "p/"},
		"aws://b/?table=t&region=r":       {"arn:aws:s3:::b", "table/t"},
		"azure://a/?changesets=c&heads=h": {"/storageAccounts/a/", "containers/c", "containers/h"},
	} {
		l, err := Parse(url, nil)
		require.NoError(t, err)
		text, err := l.Policy("reader")
		require.NoError(t, err)
		for _, name := range names {
			require.Contains(t, text, name, url)
		}
	}
}

// TestLayouts: the parameters of a layout belong to every kind of store, and are no part of
// its place. Heads with contents are protected by init.
func TestLayouts(t *testing.T) {
	for _, url := range []string{"file:a.db", "mem:", "s3://b/?region=r", "aws://b/?table=t", "azure://a/?heads=h"} {
		plain, err := Parse(url, nil)
		require.NoError(t, err)
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		packed, err := Parse(url+separator+"format=packed", nil)
		require.NoError(t, err)
		if p, ok := packed.(awsLocation); ok {
			require.True(t, p.packed)
			p.packed = false
			packed = p
		}
		require.Equal(t, plain, packed)
		_, err = Parse(url+separator+"format=tar", nil)
		require.Equal(t, cliexit.Usage, cliexit.Classify(t.Context(), err))
	}
}

// TestHeadsWithContentsAreProtected, and no others: the protection is not free.
func TestHeadsWithContentsAreProtected(t *testing.T) {
	for url, want := range map[string][2]bool{
		"s3://b/": {false, false}, "s3://b/?format=packed": {true, false},
		"aws://b/?table=t": {false, false}, "aws://b/?table=t&format=packed": {false, true},
	} {
		l, err := Parse(url, nil)
		require.NoError(t, err)
		p := l.(awsLocation)
		require.Equal(t, want[0], p.bucketOptions().Versioning, url)
		if p.table != "" {
			require.Equal(t, want[1], p.tableOptions().Recovery, url)
			require.Equal(t, want[1], p.tableOptions().Protection, url)
		}
	}
}
