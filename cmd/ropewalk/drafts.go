package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
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
			return nil, cliexit.WithHint(cliexit.Usagef("%s is empty: nothing was appended", inputName(file)),
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
	in, err := a.input(ctx, file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxContent+1))
	if err != nil {
		return nil, inputError(file, err)
	}
	if len(content) > maxContent {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", file, ropewalk.ErrTooLarge, maxContent)
	}
	return content, nil
}

// input opens a file, or for "-" standard input. The context's end interrupts
// the opening and each read, also of a pipe that nothing is written to.
func (a *app) input(ctx context.Context, file string) (io.ReadCloser, error) {
	if file == "-" {
		a.announceInput(a.stdin)
		return io.NopCloser(newInterruptible(ctx, a.stdin)), nil
	}
	f, err := openFile(ctx, file)
	if err != nil {
		return nil, inputError(file, err)
	}
	if isRegular(f) {
		return f, nil
	}
	a.announceInput(f)
	return struct {
		io.Reader
		io.Closer
	}{newInterruptible(ctx, f), f}, nil
}

// announceInput says on a terminal that input is expected: a command that
// waits looks like one that hangs.
func (a *app) announceInput(in io.Reader) {
	if a.terminal(in) {
		a.complain("hint:", cyan, "content is read from the terminal; end it with Ctrl-D")
	}
}

// inputName names a file of the command line in messages.
func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return ui.Quote(file)
}

// inputError is the failure of reading a file that the user named. It has
// nothing to do with the storage, whatever the cause.
func inputError(file string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if at, ok := errors.AsType[*os.PathError](err); ok {
		err = at.Err
	}
	return cliexit.Wrap(cliexit.Failed, fmt.Errorf("read %s: %w", ui.Quote(file), err))
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
