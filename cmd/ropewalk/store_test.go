package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/location"
)

// TestTheURLDecidesOnTheFormat: each writer goes by its own URL, and a chain that is
// packed stays packed.
func TestTheURLDecidesOnTheFormat(t *testing.T) {
	url := "file:" + filepath.Join(t.TempDir(), "ropewalk.db")
	packed := func(url, id string) bool {
		a := newCommand(strings.NewReader(""), nil, nil, nil)
		s, err := a.open(t.Context(), url, true)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.close()) }()
		s = s.with(ropewalk.Options{Compress: true})
		h, err := s.Chain(id).Head(t.Context())
		if err == nil {
			h, err = s.Chain(id).Append(t.Context(), h, ropewalk.Draft{})
		} else {
			h, err = s.Chain(id).Create(t.Context(), ropewalk.Draft{})
		}
		require.NoError(t, err)
		return h.IsPacked()
	}
	require.True(t, packed(url+"?format=packed", "a"))
	require.True(t, packed(url, "a"))
	require.False(t, packed(url, "b"))
	require.True(t, packed(url+"?format=packed", "b"))
}

// TestTheURLDecidesOnTips: tip=0 means no tip.
func TestTheURLDecidesOnTips(t *testing.T) {
	for url, want := range map[string]int{"test:": 0, "test:?tip=0": -1, "test:?format=packed&tip=4000": 4000} {
		p := newTestPlace()
		s, err := p.app("").open(t.Context(), url, true)
		require.NoError(t, err)
		require.Equal(t, want, s.Options().TipSize, url)
		require.Equal(t, strings.Contains(url, "packed"), s.Options().Packed, url)
	}
	_, err := newTestPlace().app("").open(t.Context(), "test:?tip=x", true)
	require.Error(t, err)
	_, err = location.Layout("s3://b/?format=tar")
	require.Error(t, err)
}
