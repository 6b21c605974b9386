package main

import (
	"context"
	"fmt"
	"io"
	"mime"
	"path/filepath"
	"slices"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

const typeJSON = "application/json"

// readDrafts reads each file, or standard input, as the content of a draft.
func readDrafts(ctx context.Context, std *ui.Streams, files []string, f appendFlags) ([]changeset.Draft, error) {
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
		content, err := readContent(ctx, std, file)
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

func readContent(ctx context.Context, std *ui.Streams, file string) ([]byte, error) {
	in, err := std.OpenInput(ctx, file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, importer.MaxContent+1))
	if err != nil {
		return nil, ui.InputError(file, err)
	}
	if len(content) > importer.MaxContent {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", file, ropewalk.ErrTooLarge, importer.MaxContent)
	}
	return content, nil
}

// guessType returns the content type for a file name, or else for the bytes.
func guessType(file string, content []byte) string {
	switch ext := filepath.Ext(file); ext {
	case ".json":
		return typeJSON
	case ".ndjson", ".jsonl":
		return ndjson.ContentType
	case "":
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
	}
	if ndjson.Valid(content) {
		return ndjson.ContentType
	}
	return changeset.DefaultContentType
}
