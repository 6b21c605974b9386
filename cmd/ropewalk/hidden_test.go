package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/faults"
	"ropewalk/head"
)

const (
	// controls clear the screen, set the clipboard, go back over the line, begin
	// lines that look like ours, and are C1 and DEL; one byte is not UTF-8.
	controls = "\x1b[2J\x1b]52;c;cm0=\x07\r\nerror: forged\nlevel=DEBUG\v\x7f\u009b31m\u0085\xff"
	// spoofs turn text around, or are not seen. An aggregate ID may hold them.
	spoofs = "\u202egpj\u2066\u200b\u200d\u2028\ufeff\u00ad\u3164\ufe0f\U000e0041"
)

var ownColors = regexp.MustCompile("\x1b\\[[0-9;]*m")

// requireVisible checks that output holds no hidden character, and of stderr
// that each line is one of the command's own.
func requireVisible(t *testing.T, got result, exact bool, about ...any) {
	t.Helper()
	for _, text := range []string{got.stdout, got.stderr} {
		if exact && text == got.stdout {
			continue
		}
		text = ownColors.ReplaceAllString(text, "")
		require.True(t, utf8.ValidString(text), "%q: %q", about, text)
		at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && visible.Hidden(r) })
		if at >= 0 {
			require.Failf(t, "a hidden character", "%q: %q", about, text[max(0, at-80):min(len(text), at+80)])
		}
	}
	for line := range strings.Lines(ownColors.ReplaceAllString(got.stderr, "")) {
		require.Regexp(t, `^(error|hint|warning): |^level=(DEBUG|INFO|WARN) msg=|^Type |^Completion ended`, line, "%q", about)
		require.NotRegexp(t, `^error: forged`, line, "%q", about)
	}
	require.True(t, exact || !strings.Contains(got.stdout, "\nerror: forged"), "%q", about)
}

var everyStyle = [][]string{nil, {"--json"}, {"--verbose"}, {"--color", "always"}}

// styles returns everyStyle, or two of them with -short: they share the code that the race detector watches.
func styles() [][]string {
	if testing.Short() {
		return everyStyle[:2]
	}
	return everyStyle
}

// oddPlace has an aggregate of whose fields each holds hidden characters,
// wherever the formats allow it.
func oddPlace(t *testing.T) (*testPlace, changeset.Ref) {
	p := newTestPlace()
	text := func(s string) string {
		quoted, err := json.Marshal(s)
		require.NoError(t, err)
		return string(quoted)
	}
	odd := strings.ToValidUTF8(controls+spoofs, "")
	const short = "\u202e\u200b\x1b[2J\u009b\r\n" // fits into a command ID
	event := fmt.Sprintf(`{"type":%[1]s,"id":%[1]s,"time":%[1]s,"data":{%[1]s:%[1]s},"meta":{%[1]s:%[1]s},%[1]s:%[1]s}`, text(odd))
	s := ropewalk.New(p.memory, p.memory, nil)
	h, err := s.Chain(spoofs).Create(t.Context(),
		changeset.Draft{Content: []byte(event + "\n" + odd + "\n"), ContentType: ndjson.ContentType, CommandID: short},
		changeset.Draft{Content: []byte("text " + spoofs + " approved: yes\rapproved: no "), ContentType: "text/plain", CommandID: short},
		changeset.Draft{Content: []byte(event + "\n"), ContentType: ndjson.ContentType, Metadata: map[string]string{short + "k": short}, CommandID: short})
	require.NoError(t, err)
	p.pend(t, spoofs)
	return p, h.Ref
}

func TestNothingHiddenReachesATerminal(t *testing.T) {
	for name, situation := range map[string]func(*testPlace){
		"sound": func(*testPlace) {},
		"key of a head": func(p *testPlace) {
			p.memory.Tamper(func(all *memstore.Contents) {
				all.Heads[head.ObjectName(spoofs)] = []byte(`{"\u001b]52;c;cm0=\u0007\u001b[2J\u009b\u202e\u200b":}`)
			})
		},
		"value of a head": func(p *testPlace) {
			p.memory.Tamper(func(all *memstore.Contents) {
				name := head.ObjectName(spoofs)
				all.Heads[name] = []byte(strings.Replace(string(all.Heads[name]), `"state":"live"`, `"state":"\u001b[2J\u009b\u202e\u200b"`, 1))
			})
		},
		"metadata of an object": func(p *testPlace) {
			p.memory.Tamper(func(all *memstore.Contents) {
				for _, o := range all.Objects {
					o.Metadata["recorded-at"] = controls + spoofs
				}
			})
		},
		"content": func(p *testPlace) {
			p.memory.Tamper(func(all *memstore.Contents) {
				for _, o := range all.Objects {
					o.Body = append(o.Body, controls...)
				}
			})
		},
		"messages of a storage": func(p *testPlace) {
			for _, op := range []faults.Op{faults.Put, faults.Get, faults.Stat, faults.Load, faults.Swap, faults.Commit} {
				p.script.Every(op, faults.Fault{Kind: faults.Refused, Err: errors.New(controls + spoofs)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, style := range styles() {
				p, ref := oddPlace(t)
				situation(p)
				dir := t.TempDir()
				for _, line := range commandLines(spoofs) {
					if line.args[0] == "demo" && style != nil {
						continue // it has its own store, and takes long
					}
					args := line.with(ref.String(), dir, style...)
					got := p.run(t.Context(), line.stdin, args...)
					requireVisible(t, got, line.exact && !contains(style, "--json"), name, args)
				}
			}
		})
	}
}

func contains(all []string, word string) bool { return strings.Contains(strings.Join(all, " "), word) }

// An argument may hold anything.
func TestNothingHiddenInArgumentsReachesATerminal(t *testing.T) {
	for _, odd := range []string{controls, spoofs, "--" + controls, "-" + spoofs, "x@1." + controls} {
		for _, style := range styles() {
			p := newTestPlace()
			for _, line := range commandLines(odd) {
				if line.args[0] != "demo" && !contains(line.args, "\x00") {
					requireVisible(t, p.run(t.Context(), line.stdin, line.with(odd, "/nonexistent"+odd, style...)...), line.exact, line.args)
				}
			}
			requireVisible(t, p.run(t.Context(), "", append([]string{odd}, style...)...), false, odd)
			requireVisible(t, p.run(t.Context(), "", append([]string{"ls", "--color", odd}, style...)...), false, odd)
			if !strings.HasPrefix(odd, "-") { // cobra writes errors of completion to the process's own stderr
				requireVisible(t, p.run(t.Context(), "", append([]string{"__complete", "log", odd}, style...)...), false, odd)
			}
			for _, url := range []string{odd, "file:" + odd, "s3://" + odd, "s3://b/?" + odd, "s3://b/?endpoint=" + odd, "azure://" + odd, "aws://b/?table=" + odd} {
				a := newCommand(strings.NewReader(""), nil, nil, []string{"ROPEWALK_STORE=" + url})
				requireVisible(t, runCommand(t.Context(), a, append([]string{"ls"}, style...)...), false, url)
			}
		}
	}
}

// oddServer answers every request by an error of the service whose message
// holds hidden characters.
func oddServer(t *testing.T, message string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "1")
		w.Header().Set("X-Ms-Request-Id", "1")
		w.Header().Set("X-Ms-Error-Code", "AuthorizationFailure")
		switch {
		case r.Header.Get("X-Amz-Target") != "":
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": "x#AccessDeniedException", "message": message})
		default:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", message)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestNothingHiddenInRepliesReachesATerminal(t *testing.T) {
	noSettings(t)
	for _, message := range []string{spoofs + "\u009b31m\u0085", controls} {
		url := oddServer(t, message)
		connection := "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=QUJDREVGR0g=;BlobEndpoint=" + url + "/acct;"
		for _, store := range []string{
			"s3://bucket/?region=r&path-style=true&endpoint=" + url, "aws://bucket/?table=t&region=r&path-style=true&endpoint=" + url, "azure://",
		} {
			for _, line := range commandLines(spoofs) {
				if contains(line.args, "demo") || contains(line.args, "bench") {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				a := newCommand(strings.NewReader(line.stdin), nil, nil, []string{"ROPEWALK_STORE=" + store, "AZURE_STORAGE_CONNECTION_STRING" + "=" + connection})
				a.IsTerminal = func(any) bool { return false }
				got := runCommand(ctx, a, line.with("x@0.0199a0b0-0000-7000-8000-000000000000", t.TempDir(), "--verbose")...)
				requireVisible(t, got, line.exact, store, line.args)
				cancel()
			}
		}
	}
}

// noSettings hides the settings of this machine from the SDKs.
func noSettings(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cr3tV4lue", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"HTTP_PROXY": "", "http_proxy": "", "NO_PROXY": "*",
	} {
		t.Setenv(name, value)
	}
}
