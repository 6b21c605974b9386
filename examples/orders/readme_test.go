package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	session = regexp.MustCompile("(?s)```console\n(.*?)```")
	word    = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
)

// The walk of the README is walked: each curl is sent, and what is printed
// below it must come back, where … stands for anything.
func TestReadmeWalk(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	c, _ := start(t)
	var etag, last string
	sent := 0
	for _, block := range session.FindAllStringSubmatch(string(page), -1) {
		for _, step := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, printed, _ := strings.Cut(step, "\n")
			if strings.HasPrefix(command, "ETAG=") {
				etag = last
				continue
			}
			got := c.curl(t, command, etag)
			requirePrinted(t, command, printed, got)
			last = got.etag
			sent++
		}
	}
	require.Equal(t, 12, sent)
}

// curl sends what a command line says, where $ETAG stands for the tag.
func (c client) curl(t *testing.T, line, etag string) reply {
	words := word.FindAllString(line, -1)
	require.Equal(t, []string{"curl", "-i"}, words[:2], line)
	path, local := strings.CutPrefix(words[2], "localhost:8080")
	require.True(t, local, line)
	method, body, headers := "GET", "", []string{}
	for i := 3; i < len(words); i += 2 {
		value := strings.Trim(words[i+1], `'"`)
		switch words[i] {
		case "-X":
			method = value
		case "--json":
			body = value
			headers = append(headers, "Content-Type", "application/json")
			if method == "GET" {
				method = "POST"
			}
		case "-H":
			name, content, _ := strings.Cut(value, ": ")
			headers = append(headers, name, strings.ReplaceAll(content, "$ETAG", etag))
		default:
			require.Fail(t, "unknown option", "%s in %s", words[i], line)
		}
	}
	return c.send(method, path, body, headers...)
}

func requirePrinted(t *testing.T, command, printed string, got reply) {
	head, body, _ := strings.Cut(printed, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	require.Equal(t, lines[0], fmt.Sprintf("HTTP/1.1 %d %s", got.status, http.StatusText(got.status)), command)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		require.Regexp(t, abridged(value), got.header.Get(name), command)
	}
	if body = strings.TrimSpace(body); body != "" {
		require.Regexp(t, abridged(body), strings.TrimSpace(got.body), command)
	}
}

// abridged returns the pattern of a text in which … stands for anything.
func abridged(text string) string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".+") + "$"
}

func TestReadmeLinks(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, l := range link.FindAllStringSubmatch(string(page), -1) {
		require.FileExists(t, filepath.FromSlash(l[1]))
	}
}
