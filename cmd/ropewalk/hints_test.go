package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// oddIDs are aggregate IDs that a shell, or the command, could misread.
var oddIDs = []string{
	"order-4711", "-rf", "--json", "-", "a b", "it's", `x'y$(id)` + "`id`", `a"b\c`, "a;b", "#x", "*", "~", "=ls", "!!", "a@1", "a@", "a@{2026-01-01}", "@",
	"\u202egpj\u200b'", "-\u200b", "日本語",
}

// shellWords splits the commands in a text that begin with ropewalk into the
// words that a POSIX shell makes of them. A command ends at the end of the text
// or at a semicolon, a comma or a parenthesis outside of quotes.
func shellWords(t *testing.T, text string) (all [][]string) {
	for {
		_, rest, found := strings.Cut(text, "ropewalk ")
		if !found {
			return all
		}
		words, left := splitWords(t, rest)
		all, text = append(all, words), left
	}
}

func splitWords(t *testing.T, s string) (words []string, rest string) {
	word, begun := "", false
	end := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
	for s != "" {
		switch {
		case strings.HasPrefix(s, "$'"):
			closing := 2
			for s[closing] != '\'' {
				closing += 1 + strings.Count(s[closing:closing+1], `\`)
			}
			word, begun, s = word+unquoted(t, s[2:closing]), true, s[closing+1:]
		case s[0] == '\'':
			inner, after, closed := strings.Cut(s[1:], "'")
			require.True(t, closed, s)
			word, begun, s = word+inner, true, after
		case s[0] == '\\':
			word, begun, s = word+s[1:2], true, s[2:]
		case s[0] == ' ':
			end()
			s = s[1:]
		case strings.ContainsRune(";,)", rune(s[0])):
			end()
			return words, s
		default:
			require.NotContains(t, "$`\"*?[]#~!&|<>(){}", s[:1], "the shell would expand it: %s", s)
			word, begun, s = word+s[:1], true, s[1:]
		}
	}
	end()
	return words, ""
}

// unquoted reads the inside of $'…'.
func unquoted(t *testing.T, s string) string {
	text, err := strconv.Unquote(`"` + strings.NewReplacer(`\'`, `'`, `"`, `\"`).Replace(s) + `"`)
	require.NoError(t, err, s)
	return text
}

// requireHint checks that every command in a hint can be run as it stands, and
// names the aggregate.
func requireHint(t *testing.T, id, hint string) {
	t.Helper()
	commands := shellWords(t, hint)
	require.NotEmpty(t, commands, hint)
	for _, words := range commands {
		root := newRoot(newTestPlace().app("").parts())
		cmd, rest, err := root.Find(words)
		require.NoError(t, err, hint)
		require.NotEqual(t, root, cmd, hint)
		require.NoError(t, cmd.ParseFlags(rest), hint)
		args := cmd.Flags().Args()
		require.NoError(t, cmd.ValidateArgs(args), hint)
		if after := cmd.Flags().Lookup("after"); cmd.Name() == "gc" && after.Changed {
			require.Equal(t, id, after.Value.String(), hint)
			continue
		}
		require.Len(t, args, 1, hint)
		r, err := reference.Parse(args[0])
		require.NoError(t, err, hint)
		require.Equal(t, id, r.ID, hint)
	}
}

// requireHints checks the hints and warnings on stderr, of which there must be some.
func requireHints(t *testing.T, id, stderr string) {
	t.Helper()
	some := false
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "ropewalk ") {
			some = true
			requireHint(t, id, strings.TrimSuffix(line, "\n"))
		}
	}
	require.True(t, some, "%q: %s", id, stderr)
}

func TestHintsCanBeRun(t *testing.T) {
	for _, id := range oddIDs {
		t.Run(id, func(t *testing.T) {
			at := id + "@"
			p := newTestPlace()
			for range 3 {
				require.Zero(t, p.run(t.Context(), "{}\n", "append", "--any", "--", at).exit)
			}
			requireHints(t, id, p.run(t.Context(), "{}\n", "append", "--new", "--", at).stderr)
			requireHints(t, id, p.run(t.Context(), "{}\n", "append", "--after", "0", "--", at).stderr)

			p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(id)] = []byte("{") })
			for _, args := range [][]string{{"ls"}, {"export"}, {"graph", "--", at}, {"gc"}} {
				requireHints(t, id, p.run(t.Context(), "", args...).stderr)
			}
			p.memory.Tamper(func(all *memstore.Contents) { delete(all.Heads, head.ObjectName(id)) })
			requireHints(t, id, p.run(t.Context(), "", "gc").stderr)

			g := collecting{Streams: p.app("").Streams, delete: true, grace: leastGrace, total: gcJSON{Last: id}}
			requireHint(t, id, cutTo(hintFor(g.resumable(errors.New("ended"))), "ropewalk"))
			g.failed = []gc.Report{{AggregateID: id, Err: ropewalk.ErrHeadLost}}
			requireHint(t, id, hintFor(g.failure()))
		})
	}
}

// cutTo returns text from the last place of a word on.
func cutTo(text, word string) string { return text[max(0, strings.LastIndex(text, word)):] }

func TestHintsOfUncertainAppendsCanBeRun(t *testing.T) {
	for _, id := range oddIDs {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			p.script.Every(faults.Commit, faults.Fault{Kind: faults.Dropped})
			requireHints(t, id, cutTo(p.run(t.Context(), "{}\n", "append", "--new", "--", id+"@").stderr, "hint:"))
		})
	}
}

// These tests split words as shells do.
func TestQuotedWordsInShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "ksh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("there is no %s", shell)
			continue
		}
		for _, word := range oddIDs {
			out, err := exec.CommandContext(t.Context(), path, "-c", "printf %s "+ui.Operand(word)).Output()
			require.NoError(t, err, word)
			require.Equal(t, word, strings.TrimPrefix(string(out), "--"), shell)
		}
	}
	for _, word := range oddIDs {
		words, rest := splitWords(t, ui.Quote(word))
		require.Equal(t, []string{word}, words)
		require.Empty(t, rest)
	}
}

const someSecret = "s3cr3tV4lue"

func TestSecretsReachNoStream(t *testing.T) {
	noSettings(t)
	for _, store := range []string{
		"azure://acct/?sv=2024&sig=" + someSecret, "azure://acct/x?sig=" + someSecret + "&sig=" + someSecret, "s3://user:" + someSecret + "@bucket/",
		"s3://user:a/" + someSecret + "@bucket/", "postgres://u:" + someSecret + "@h/db", "s3://b/?endpoint=http://u:" + someSecret + "@h",
		"s3://b/?endpoint=ftp://u:" + someSecret + "@h", "s3://b/?endpoint=http://127.0.0.1:1/?sig=" + someSecret, "file:x.db?key=" + someSecret, "s3://b/#" + someSecret, "s3://b/%zz?sig=" + someSecret,
		"AccountName=a;AccountKey=" + someSecret + ";EndpointSuffix=x", "sig=" + someSecret, "s3://b/?sig=" + someSecret + "&%zz",
	} {
		for _, args := range [][]string{{"ls"}, {"init"}, {"init", "--check"}, {"append", "x", "--new"}, {"bench"}, {"demo", "--store", store, "--bad"}} {
			for _, style := range everyStyle {
				a := newCommand(strings.NewReader("{}"), nil, nil, []string{"ROPEWALK_STORE=" + store})
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // what parses sends nothing
				got := runCommand(ctx, a, append(args, style...)...)
				require.NotZero(t, got.exit, "%s %s", args, store)
				require.NotContains(t, got.stdout+got.stderr, someSecret, "%s %s", args, store)
			}
		}
	}
}

// The clients of the services repeat the URL, or what the service says of it.
func TestSecretsInErrorsOfClients(t *testing.T) {
	for _, style := range everyStyle {
		p := newTestPlace()
		p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped, Err: fmt.Errorf("Get \"https://a.blob.core.windows.net/c?se=1&sig=%s\": %s", someSecret, "the key envS3cr3t== is wrong")})
		a := p.app("")
		a.Env = map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey=envS3cr3t=="}
		got := runCommand(t.Context(), a, append([]string{"head", "x"}, style...)...)
		require.Contains(t, got.stderr, "REDACTED")
		require.NotContains(t, got.stdout+got.stderr, someSecret)
		require.NotContains(t, got.stdout+got.stderr, "envS3cr3t")
	}
}

func TestHintsFitTheStorage(t *testing.T) {
	for store, want := range map[string]string{
		"file:x.db": "the file does not answer", "azure://a/": "the storage does not answer: check the account, the endpoint", "s3://b/": "the storage does not answer: check the endpoint, the region",
	} {
		p := newTestPlace()
		p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped, Err: context.DeadlineExceeded})
		got := p.run(t.Context(), "", "head", "x", "--store", store)
		require.Equal(t, 7, got.exit)
		require.Contains(t, got.stderr, "hint: "+want)
	}
}

func TestDeniedFiles(t *testing.T) {
	for _, err := range []error{fs.ErrPermission, syscall.EACCES, syscall.EROFS} {
		p := newTestPlace()
		p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped, Err: &fs.PathError{Op: "open", Path: "x.db", Err: err}})
		got := p.run(t.Context(), "", "head", "x")
		require.Equal(t, 7, got.exit)
		require.Contains(t, got.stderr, "hint: check the modes of the file")
	}
}

// A storage that has to be set up, and a reply that is not from it, are one class.
func TestSetupErrorsOfEveryRequest(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "{}\n", "append", "x", "--new").exit)
	notS3 := &finding.SetupError{What: "the reply is not from S3", Hint: "check the endpoint"}
	for _, op := range []faults.Op{faults.Get, faults.Stat, faults.Load, faults.Scan} {
		p.script.Every(op, faults.Fault{Kind: faults.Dropped, Err: notS3})
	}
	p.script.Every(faults.Commit, faults.Fault{Kind: faults.Refused, Err: notS3})
	for _, args := range [][]string{
		{"append", "x", "--new"},
		{"append", "x", "--any"},
		{"head", "x"},
		{"log", "x"},
		{"show", "x"},
		{"cat", "x"},
		{"graph", "x"},
		{"verify", "x"},
		{"verify", "--all"},
		{"export"},
		{"export", "x"},
		{"gc"},
		{"gc", "x"},
		{"flush", "x"},
		{"rebuild-head", "x"},
		{"erase", "x", "--yes"},
		{"watch", "--from", "start"},
		{"subscriptions"},
	} {
		got := p.run(t.Context(), "{}\n", args...)
		require.Equal(t, 7, got.exit, "%s: %s", args, got.stderr)
		require.Contains(t, got.stderr, "the reply is not from S3", args)
		require.Contains(t, got.stderr, "hint: check the endpoint\n", args)
		require.Empty(t, got.stdout, "%s: nothing that reads as an empty store", args)
	}
}
