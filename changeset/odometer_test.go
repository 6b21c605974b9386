package changeset_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// TestOdometerOfTheDesign holds the picture of the ancestor index in DESIGN.md
// to the code: each of its three columns has the versions of one index.
func TestOdometerOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	_, picture, _ := strings.Cut(string(design), "index(300)        index(303)        index(304)\n")
	picture, _, found := strings.Cut(picture, "└")
	require.True(t, found)
	for column, version := range []uint64{300, 303, 304} {
		require.Equal(t, indexed(version), pictured(picture, 38+18*column), "index(%d)", version)
	}
}

// pictured returns the versions that a picture shows in the column of 18
// characters at an offset, oldest first. Between two versions … stands
// for all the others.
func pictured(picture string, offset int) (versions []uint64) {
	number := regexp.MustCompile(`[0-9]+|…`)
	for line := range strings.Lines(picture) {
		cells := []rune(strings.TrimRight(line, "\n") + strings.Repeat(" ", 100))
		var wheel []uint64
		gap := false
		for _, word := range number.FindAllString(string(cells[offset:offset+18]), -1) {
			v, err := strconv.ParseUint(word, 10, 64)
			for gap && wheel[len(wheel)-1]+1 < v {
				wheel = append(wheel, wheel[len(wheel)-1]+1)
			}
			if gap = err != nil; !gap {
				wheel = append(wheel, v)
			}
		}
		versions = append(versions, wheel...)
	}
	return versions
}

func indexed(version uint64) (versions []uint64) {
	ix := changeset.Index{}
	for range version {
		ix = ix.Push(changeset.NewID())
	}
	for v := range ix.All() {
		versions = append(versions, v)
	}
	return versions
}
