package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/ui"
)

var (
	update = flag.Bool("update", false, "write docs/reference.md again")
	man    = flag.String("man", "", "write the man pages to this `folder`")
)

const referencePage = "../../docs/reference.md"

const referenceHead = `# Command reference

Each command with its flags, as ` + "`ropewalk COMMAND --help`" + ` prints it. The flags at the end of the page are for all commands.
This page is generated: ` + "`go test ./cmd/ropewalk -run TestReference -update`" + ` writes it again.

`

// TestReference holds docs/reference.md to the commands.
func TestReference(t *testing.T) {
	page := bytes.NewBufferString(referenceHead)
	root := documented()
	for _, cmd := range subcommands(root) {
		page.WriteString("- [" + cmd.CommandPath() + "](#" + strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "): " + cmd.Short + "\n")
	}
	for _, cmd := range subcommands(root) {
		page.WriteString("\n## " + cmd.CommandPath() + "\n\n```text\n" + strings.TrimSpace(helpOf(t, cmd)) + "\n```\n")
	}
	page.WriteString("\n## Flags of all commands\n\n```text\n" + strings.TrimRight(root.PersistentFlags().FlagUsages(), "\n") + "\n```\n")
	if *update {
		require.NoError(t, os.WriteFile(referencePage, page.Bytes(), 0o644))
	}
	written, err := os.ReadFile(referencePage)
	require.NoError(t, err)
	require.True(t, string(written) == page.String(), "docs/reference.md is not what the commands say; write it again: go test ./cmd/ropewalk -run TestReference -update")
}

// TestManPages makes a man page of each command.
func TestManPages(t *testing.T) {
	folder, date := *man, time.Unix(0, 0).UTC()
	if folder == "" {
		folder = t.TempDir()
	}
	root := documented()
	root.DisableAutoGenTag = true
	require.NoError(t, doc.GenManTree(root, &doc.GenManHeader{Title: "ROPEWALK", Section: "1", Date: &date, Source: "ropewalk"}, folder))
	for _, cmd := range append(subcommands(root), root) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		page, err := os.ReadFile(filepath.Join(folder, name+".1"))
		require.NoError(t, err)
		require.Contains(t, string(page), ".SH NAME\n"+name+" - "+cmd.Short)
	}
}

func documented() *cobra.Command {
	std := ui.NewStreams(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, nil)
	return newRoot(std, newStoreFlags(std))
}

// subcommands returns the commands below a command that do something, in order.
func subcommands(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			all = append(append(all, c), subcommands(c)...)
		}
	}
	return all
}

// helpOf returns what --help prints.
func helpOf(t *testing.T, cmd *cobra.Command) string {
	var out bytes.Buffer
	cmd.SetOut(&out)
	require.NoError(t, cmd.Help())
	return out.String()
}
