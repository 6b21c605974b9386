package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ropewalk/bench/internal/lab"
)

// childArgument makes this program one of its own children.
const childArgument = "child"

// child does what a child is for: it measures a process of its own.
func child(name string, args []string) error {
	switch name {
	case "trips":
		lab.CountTasks(os.Stdin, args[0])
		return nil
	case "stream":
		return streamChild(context.Background(), args)
	case "feedcosts":
		lab.InVirtualTime(func(t *testing.T) error { return feedCostsChild(t, args[0], args[1] == "quick") })
		return nil
	case "packed":
		event, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		lab.InVirtualTime(func(t *testing.T) error { return packedChild(t, event, args[0]) })
		return nil
	case "follow":
		return followChild(context.Background(), args)
	case "command":
		return commandChild(context.Background(), args)
	case "verify":
		return verifyChild(context.Background(), args)
	case "tls":
		return tlsChild()
	default:
		return fmt.Errorf("no child is named %q", name)
	}
}

// runChild runs this program as a child, and returns what it prints.
func runChild(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, append([]string{childArgument}, args...)...)
	c.Stdin, c.Stderr = bytes.NewReader(stdin), &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("child %v: %w: %s%s", args, err, out, stderr.String())
	}
	return out, err
}

// trips counts what tasks cost, in virtual time.
func (l *laboratory) trips(ctx context.Context, tasks ...lab.Task) ([]lab.Cost, error) {
	text, err := json.Marshal(tasks)
	if err != nil {
		return nil, err
	}
	folder, err := l.folder("trips")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "costs")
	if _, err := runChild(ctx, text, "trips", file); err != nil {
		return nil, err
	}
	var costs []lab.Cost
	text, err = os.ReadFile(file)
	return costs, errors.Join(err, json.Unmarshal(text, &costs))
}
