package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ropewalk/changeset"
	"ropewalk/feed"
)

// manifestFormat is the number of the format of manifests.
const manifestFormat = 1

// File is a file of an archive.
type File struct {
	// Name is the file's name in the destination.
	Name string `json:"add"`
	// Batch is the number of the manifest whose part of the feed the rows are from. A
	// file that was rewritten keeps it.
	Batch uint64 `json:"batch"`
	// Rows and Bytes are the number of rows, and the size of the file.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// SHA256 is the hash of the whole file.
	SHA256 changeset.Digest `json:"sha256"`
	// First and Last are the first and the last aggregate that have rows.
	First string `json:"first"`
	Last  string `json:"last"`
}

// mayHaveAny reports whether the file can have rows of some aggregates, which are
// sorted.
func (f File) mayHaveAny(aggregates []string) bool {
	i, _ := slices.BinarySearch(aggregates, f.First)
	return i < len(aggregates) && aggregates[i] <= f.Last
}

// manifest is what one step of an archiver has changed.
type manifest struct {
	preamble
	add    []File
	remove []string // names of files
	erased []string // aggregates whose erasure the feed has reported
	purged []string // erased aggregates that have no rows from here on
}

// preamble is the first line of a manifest.
type preamble struct {
	Format int    `json:"format"`
	Number uint64 `json:"number"`
	// Previous is the SHA-256 of the manifest before; nil in the first.
	Previous *changeset.Digest `json:"previous,omitempty"`
	// Position is the place in the feed up to which the archive has the changes.
	Position feed.Position `json:"position"`
	// Lines is the number of lines after this line.
	Lines int `json:"lines"`
}

// line is any other line of a manifest: exactly one of its fields is set.
type line struct {
	*File
	Remove string `json:"remove,omitempty"`
	Erased string `json:"erased,omitempty"`
	Purged string `json:"purged,omitempty"`
}

const (
	manifests    = "manifests/"
	manifestType = ".ndjson"
	// maxManifest is the largest size of a manifest in bytes.
	maxManifest = 64 << 20
)

// manifestName returns the name of a manifest.
func manifestName(number uint64) string {
	return fmt.Sprintf("%s%012d%s", manifests, number, manifestType)
}

// manifestNumber returns the number of the manifest with a name. It reports false if
// the name is not the name of a manifest.
func manifestNumber(name string) (uint64, bool) {
	digits := strings.TrimSuffix(strings.TrimPrefix(name, manifests), manifestType)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0 && manifestName(number) == name
}

// encode returns the content of the manifest.
func (m *manifest) encode() ([]byte, error) {
	m.Format, m.Lines = manifestFormat, len(m.add)+len(m.remove)+len(m.erased)+len(m.purged)
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(m.preamble); err != nil {
		return nil, err
	}
	for _, l := range m.lines() {
		if err := lines.Encode(l); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// lines returns the lines after the preamble.
func (m *manifest) lines() (all []line) {
	for i := range m.add {
		all = append(all, line{File: &m.add[i]})
	}
	for _, name := range m.remove {
		all = append(all, line{Remove: name})
	}
	for _, id := range m.erased {
		all = append(all, line{Erased: id})
	}
	for _, id := range m.purged {
		all = append(all, line{Purged: id})
	}
	return all
}

// decodeManifest reads a manifest. It accepts only what encode writes, to the letter.
func decodeManifest(content []byte) (*manifest, error) {
	m := &manifest{}
	lines := json.NewDecoder(bytes.NewReader(content))
	if err := lines.Decode(&m.preamble); err != nil {
		return nil, fmt.Errorf("the first line is not the first line of a manifest: %w", err)
	}
	if m.Format > manifestFormat {
		return nil, fmt.Errorf("%w: %d, and this version reads %d", changeset.ErrUnsupportedFormat, m.Format, manifestFormat)
	}
	for lines.More() {
		var l line
		if err := lines.Decode(&l); err != nil {
			return nil, err
		}
		m.take(l)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, content) {
		return nil, errors.New("it is not as it was written")
	}
	return m, nil
}

func (m *manifest) take(l line) {
	switch {
	case l.File != nil:
		m.add = append(m.add, *l.File)
	case l.Remove != "":
		m.remove = append(m.remove, l.Remove)
	case l.Erased != "":
		m.erased = append(m.erased, l.Erased)
	case l.Purged != "":
		m.purged = append(m.purged, l.Purged)
	}
}

// hash returns the SHA-256 of a file.
func hash(content []byte) changeset.Digest { return sha256.Sum256(content) }
