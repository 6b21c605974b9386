package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one broken check.
type mutant struct {
	name  string
	file  string // below the module's root
	text  string // is in the file exactly once
	broke string // what stands there instead
	tests string // the packages whose tests must notice it, and flags of go test
}

// source returns the mutated file.
func (m mutant) source() (string, error) {
	whole, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(whole), m.text); n != 1 {
		return "", fmt.Errorf("the text is %d times in %s, not once: %q", n, m.file, m.text)
	}
	return strings.Replace(string(whole), m.text, m.broke, 1), nil
}

// overlay writes the mutated file to a temporary folder, and returns the name
// of the overlay that puts it into its place for a build.
func (m mutant) overlay() (name string, remove func(), err error) {
	source, err := m.source()
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(folder) }
	file, err := filepath.Abs(m.file)
	if err != nil {
		return "", remove, err
	}
	mutated := filepath.Join(folder, filepath.Base(m.file))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutated}})
	if err != nil {
		return "", remove, err
	}
	if err := os.WriteFile(mutated, []byte(source), 0o600); err != nil {
		return "", remove, err
	}
	name = filepath.Join(folder, "overlay.json")
	return name, remove, os.WriteFile(name, replaced, 0o600)
}
