package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commandLine is one way to run a command: its arguments, what it reads from
// stdin, and whether what it prints is content, exactly as it was appended.
type commandLine struct {
	args  []string
	stdin string
	exact bool
}

// commandLines returns ways to run every command on an aggregate, in an order
// in which each finds something to do. Every command ends without an interrupt. In
// the arguments REF stands for a changeset of the aggregate, and DIR for a folder.
// TestCommandLinesAreComplete fails for a command that is missing here.
func commandLines(id string) []commandLine {
	at := id + "@"
	return []commandLine{
		{args: []string{"init"}},
		{args: []string{"init", "--check"}},
		{args: []string{"init", "--print-policy", "reader"}},
		{args: []string{"doctor"}},
		{args: []string{"append", "--any", "--", at}, stdin: "{}\n"},
		{args: []string{"append", "--new", "--", at}, stdin: "{}\n"},
		{args: []string{"append", "--after", "0", "--", at}, stdin: "{}\n"},
		{args: []string{"append", "--any", "--", at, "DIR/" + id}},
		{args: []string{"append", "--any", "--meta", id, "--", at}, stdin: "{}\n"},
		{args: []string{"append", "--after", id, "--", at}, stdin: "{}\n"},
		{args: []string{"append", "--commit", "-"}, stdin: `{"aggregate":"other","any":true,"content":1}` + "\n"},
		{args: []string{"append", "--commit", "-"}, stdin: id + "\n"},
		{args: []string{"append", "--commit", "DIR/" + id}},
		{args: []string{"settle", "--", "REF"}},
		{args: []string{"settle", "--", at}},
		{args: []string{"ls"}},
		{args: []string{"ls", "-l"}},
		{args: []string{"ls", "-l", "--sizes"}},
		{args: []string{"ls", "--after", id}},
		{args: []string{"head", "--", at}},
		{args: []string{"log", "--", at}},
		{args: []string{"log", "--full", "--", at}},
		{args: []string{"log", "--events", "--", at}},
		{args: []string{"log", "--events", "--full", "--", at}},
		{args: []string{"log", "--events", "--type", id, "--", at}},
		{args: []string{"log", "--events", "--grep", id, "--", at}},
		{args: []string{"log", "--since", "2026-01-01", "--until", "2999-01-01", "--", at}},
		{args: []string{"log", "--since", id, "--", at}},
		{args: []string{"log", "--until", id, "--", at}},
		{args: []string{"log", "--", id + "@9.."}},
		{args: []string{"log", "--", id + "@{2020-01-01}..{2020-01-02}"}},
		{args: []string{"show", "--", at}},
		{args: []string{"show", "--", id + "@0"}},
		{args: []string{"show", "--", id + "@1"}},
		{args: []string{"show", "--", id + "@0..1"}},
		{args: []string{"show", "--", id + "@{2026-01-01}.."}},
		{args: []string{"show", "--", id + "@0.ffffffffffff"}},
		{args: []string{"show", "--", id + "@{2026-99-01}"}},
		{args: []string{"stats"}},
		{args: []string{"cat", "--", at}, exact: true},
		{args: []string{"cat", "--", id + "@0..1"}, exact: true},
		{args: []string{"diff", "--", id + "@0", id + "@1"}},
		{args: []string{"diff", "--", id + "@0", "REF"}},
		{args: []string{"diff", "--", at, id + "@{2026-99-01}"}},
		{args: []string{"diff", "--", at, "0", "1"}},
		{args: []string{"diff", "--", at, "1", "0"}},
		{args: []string{"diff", "--", at, "0", id}},
		{args: []string{"diff", "--with", "file:DIR/other.db", "--", at}},
		{args: []string{"diff", "--with", id, "--", at}},
		{args: []string{"graph", "--", at}},
		{args: []string{"graph", "--format", "mermaid", "--", at}},
		{args: []string{"graph", "--format", "dot", "--", at}},
		{args: []string{"graph", "--format", "svg", "--", at}},
		{args: []string{"graph", "--format", id, "--", at}},
		{args: []string{"verify", "--all"}},
		{args: []string{"verify", "--", at}},
		{args: []string{"verify", "--digest", id, "--", at}},
		{args: []string{"export"}, exact: true},
		{args: []string{"export", "--", at}, exact: true},
		{args: []string{"export", "--format", "parquet"}, exact: true},
		{args: []string{"export", "--format", id}},
		{args: []string{"import", "-"}, stdin: `{"aggregate":"other","type":"x"}` + "\n"},
		{args: []string{"import", "-"}, stdin: `{"aggregate":"` + id + `","type":"x"}` + "\n"},
		{args: []string{"import", "-"}, stdin: id + "\n"},
		{args: []string{"import", "DIR/" + id}},
		{args: []string{"backup", "DIR/" + id}},
		{args: []string{"restore", "DIR/" + id}},
		{args: []string{"copy", "file:DIR/" + id, "file:DIR/copy.db"}},
		{args: []string{"copy", "file:DIR/" + id, id}},
		{args: []string{"copy", "--prefix", id, "file:DIR/" + id, "file:DIR/copy.db"}},
		{args: []string{"copy", "--at", id, "file:DIR/" + id, "file:DIR/copy.db"}},
		{args: []string{"copy", "--since", id, "file:DIR/" + id, "file:DIR/copy.db"}},
		{args: []string{"flush", "--all"}},
		{args: []string{"flush", "--", at}},
		{args: []string{"flush", "--", id + "@{2026-99-01}"}},
		{args: []string{"gc"}},
		{args: []string{"gc", "--", at}},
		{args: []string{"gc", "--after", id}},
		{args: []string{"backup", "--", "DIR/nothere/" + id}},
		{args: []string{"rebuild-head", "--", at}},
		{args: []string{"rebuild-head", "--at", id, "--", at}},
		{args: []string{"bench", "--appends", "1", "--reads", "1", "--parallel", "1", "--yes"}},
		{args: []string{"bench", "--appends", id}},
		{args: []string{"demo"}},
		{args: []string{"completion", "bash"}},
		{args: []string{"completion", id}},
		{args: []string{"schema", "head"}},
		{args: []string{"schema", id}},
		{args: []string{"version"}},
		{args: []string{"help"}},
		{args: []string{"help", id}},
		{args: []string{"relay", "--once"}},
		{args: []string{"relay", "--once", "--sweep"}},
		{args: []string{"relay", id}},
		{args: []string{"watch", "--from", "start", "--until-end"}},
		{args: []string{"watch", "--from", "start", "--until-end", "--content"}},
		{args: []string{"watch", "--from", "start", "--until-end", "--", at}},
		{args: []string{"watch", "--from", "start", "--until-end", "--", id + "x@"}},
		{args: []string{"watch", "--from", "start", "--until-end", "--", id + "*"}},
		{args: []string{"watch", "--from", id, "--until-end"}},
		{args: []string{"feed", "status"}},
		{args: []string{"feed", "verify"}},
		{args: []string{"feed", "sweep"}},
		{args: []string{"feed", "drop"}},
		{args: []string{"feed", "drop", "--yes"}},
		{args: []string{"feed"}},
		{args: []string{"feed", "--", id}},
		{args: []string{"subscriptions"}},
		{args: []string{"subscriptions", "--", id}},
		{args: []string{"subscriptions", "--replay", "--", id}},
		{args: []string{"subscriptions", "--reset", id, "--yes", "--", id}},
		{args: []string{"subscriptions", "--delete", "--yes", "--", id}},
		{args: []string{"ui", "--listen", "0.0.0.0:0"}},
		{args: []string{"ui", "--listen", id}},
		{args: []string{"migrate"}},
		{args: []string{"migrate", "--", id}},
		{args: []string{"archive", "DIR/archive"}},
		{args: []string{"archive", "DIR/" + id}},
		{args: []string{"archive", "s3://" + id}},
		{args: []string{"verify", "--archive", "DIR/archive"}},
		{args: []string{"verify", "--archive", "DIR/" + id}},
		{args: []string{"erase", "--", at}},
		{args: []string{"erase", "--yes", "--", at}},
		{args: []string{"archive", "DIR/archive"}},
		{args: []string{"archive", "erase", "DIR/archive"}},
		{args: []string{"archive", "erase", "DIR/" + id}},
	}
}

func TestCommandLinesAreComplete(t *testing.T) {
	root := newRoot(newTestPlace().app("").parts())
	root.InitDefaultHelpCmd()
	known := map[string]bool{}
	for _, c := range root.Commands() {
		known[c.Name()] = true
	}
	tried := map[string]bool{}
	for _, line := range commandLines("x") {
		tried[line.args[0]] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(tried)), "add lines to commandLines")
}

// with returns the arguments with REF and DIR put in.
func (c commandLine) with(ref, dir string, more ...string) []string {
	var args []string
	for _, arg := range c.args {
		args = append(args, strings.ReplaceAll(strings.ReplaceAll(arg, "REF", ref), "DIR", dir))
	}
	return slices.Insert(args, 1, more...)
}
