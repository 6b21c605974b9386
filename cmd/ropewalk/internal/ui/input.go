package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// OpenInput opens a file, or standard input for "-". The end of the context
// interrupts the opening and each read, also while a pipe is silent.
func (s *Streams) OpenInput(ctx context.Context, file string) (io.ReadCloser, error) {
	if file == "-" {
		s.announceInput(s.In)
		return io.NopCloser(newInterruptible(ctx, s.In)), nil
	}
	f, err := openFile(ctx, file)
	if err != nil {
		return nil, InputError(file, err)
	}
	if isRegular(f) {
		return f, nil
	}
	s.announceInput(f)
	return struct {
		io.Reader
		io.Closer
	}{newInterruptible(ctx, f), f}, nil
}

// announceInput says on a terminal that input is expected. Otherwise a command
// that waits would look like a command that hangs.
func (s *Streams) announceInput(in io.Reader) {
	if s.IsTerminal(in) {
		s.complain("hint:", Cyan, "content is read from the terminal; end it with Ctrl-D")
	}
}

// InputName returns the name of a file of the command line for a message.
func InputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return Quote(file)
}

// InputError returns the error of reading a file that the user named. It never
// counts as an error of the storage.
func InputError(file string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if at, ok := errors.AsType[*os.PathError](err); ok {
		err = at.Err
	}
	return cliexit.Wrap(cliexit.Failed, fmt.Errorf("read %s: %w", Quote(file), err))
}
