package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"path/filepath"
	"slices"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// maxContent is the largest content that append takes, in bytes: the default
// of [ropewalk.Options].
const maxContent = 64 << 20

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// readDrafts reads each file, or standard input, as the content of one draft.
func (a *app) readDrafts(ctx context.Context, files []string, f appendFlags) ([]changeset.Draft, error) {
	if len(files) == 0 {
		files = []string{"-"}
	}
	if len(files) > changeset.MaxPerAppend {
		return nil, cliexit.Usagef("%d files: an append has at most %d changesets", len(files), changeset.MaxPerAppend)
	}
	if i := slices.Index(files, "-"); i >= 0 && slices.Contains(files[i+1:], "-") {
		return nil, cliexit.Usagef("standard input can be read only once")
	}
	var drafts []changeset.Draft
	for _, file := range files {
		content, err := a.readContent(ctx, file)
		if err != nil {
			return nil, err
		}
		if len(content) == 0 && !f.allowEmpty {
			return nil, cliexit.WithHint(cliexit.Usagef("%s is empty: nothing was appended", ui.InputName(file)),
				"it is usually the output of a command that failed; --allow-empty appends empty content")
		}
		d := changeset.Draft{Content: content, ContentType: f.contentType}
		if f.contentType == "" {
			d.ContentType = guessType(file, content)
		}
		drafts = append(drafts, d)
	}
	return drafts, nil
}

func (a *app) readContent(ctx context.Context, file string) ([]byte, error) {
	in, err := a.OpenInput(ctx, file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxContent+1))
	if err != nil {
		return nil, ui.InputError(file, err)
	}
	if len(content) > maxContent {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", file, ropewalk.ErrTooLarge, maxContent)
	}
	return content, nil
}

// guessType returns a content type by the file's name, or else by its content.
func guessType(file string, content []byte) string {
	switch ext := filepath.Ext(file); ext {
	case ".json":
		return typeJSON
	case ".ndjson", ".jsonl":
		return typeNDJSON
	case "":
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
	}
	if isNDJSON(content) {
		return typeNDJSON
	}
	return changeset.DefaultContentType
}

// isNDJSON reports whether content is lines of JSON. Empty lines may be between them.
func isNDJSON(content []byte) bool {
	any := false
	for line := range bytes.Lines(content) {
		if isBlank(line) {
			continue
		}
		if any = json.Valid(line); !any {
			return false
		}
	}
	return any
}
