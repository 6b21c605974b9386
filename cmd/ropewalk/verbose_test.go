package main

import (
	"context"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/internal/finding"
	"ropewalk/internal/meter"
)

// countedFile is a SQLite store whose requests are counted.
type countedFile struct {
	path  string
	meter *meter.Meter
}

func (p countedFile) Open(context.Context, bool) (*location.Opened, error) {
	s, err := sqlitestore.Open(p.path, nil)
	if err != nil {
		return nil, err
	}
	return &location.Opened{Objects: p.meter.Changesets(s).(location.Objects), Heads: p.meter.Heads(s).(location.Heads), Close: s.Close}, nil
}

func (p countedFile) Provision(context.Context) error { return nil }

func (p countedFile) Check(context.Context) ([]finding.Finding, error) { return nil, nil }

func (p countedFile) Policy(string) (string, error) { return "{}", nil }

// recorded runs every command on the same aggregate, and returns the requests
// that each has made.
func recorded(t *testing.T, newCommand func(stdin string) *command, requests func() any, flags ...string) (all []any) {
	ref, dir := "", t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/x", []byte("{}\n"), 0o600))
	for i, line := range append([]commandLine{{args: []string{"append", "--new", "x"}, stdin: "{}\n"}}, commandLines("x")...) {
		if line.args[0] == "demo" || line.args[0] == "bench" {
			continue // they have aggregates with random names
		}
		got := runCommand(t.Context(), newCommand(line.stdin), line.with(ref, dir, flags...)...)
		require.True(t, got.exit != 1 || line.args[0] == "init", "%q: %s", line.args, got.stderr) // the canned bucket has no settings
		if i == 0 {
			ref = strings.TrimSpace(got.stdout)
		}
		if len(flags) > 0 && line.args[0] == "log" && got.exit == 0 {
			require.Contains(t, got.stderr, "msg=request", line.args)
		}
		all = append(all, fmt.Sprintf("%q: exit %d", line.args, got.exit), requests())
	}
	return all
}

func TestVerboseOnlyObservesSQLite(t *testing.T) {
	run := func(flags ...string) []any {
		p := countedFile{t.TempDir() + "/ropewalk.db", meter.New(0)}
		newCommand := func(stdin string) *command {
			a := newTestPlace().app(stdin)
			a.parse = func(string, map[string]string) (location.Location, error) { return p, nil }
			return a
		}
		return recorded(t, newCommand, func() any { defer p.meter.Reset(); return p.meter.Count() }, flags...)
	}
	plain := run()
	require.True(t, slices.ContainsFunc(plain, func(made any) bool {
		counts, ok := made.(meter.Counts)
		return ok && counts.GetMany > 0
	}), "some command reads many changesets by one request")
	require.Equal(t, plain, run("--verbose"))
}

func TestVerboseOnlyObservesS3(t *testing.T) {
	noSettings(t)
	run := func(flags ...string) []any {
		s := newMemoryS3(t)
		env := []string{"ROPEWALK_STORE=s3://bucket/?region=r&path-style=true&endpoint=" + s.url}
		newCommand := func(stdin string) *command {
			a := newCommand(strings.NewReader(stdin), nil, nil, env)
			a.IsTerminal = func(any) bool { return false }
			return a
		}
		return recorded(t, newCommand, func() any { return s.take() }, flags...)
	}
	plain := run()
	require.Contains(t, fmt.Sprint(plain), "If-Match")
	require.Equal(t, plain, run("--verbose"))
}

// memoryS3 is as much of S3 as a store needs, in memory, for a bucket that exists.
type memoryS3 struct {
	url      string
	mu       sync.Mutex
	objects  map[string]storedObject
	requests []string
}

type storedObject struct {
	body   []byte
	header http.Header
}

func newMemoryS3(t *testing.T) *memoryS3 {
	s := &memoryS3{objects: map[string]storedObject{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

var randomName = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|feed-[0-9a-f]{16}|snapshots-[A-Za-z0-9_-]{43}`)

// take returns the requests since the last call, sorted, without what differs
// from run to run.
func (s *memoryS3) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = nil
	slices.Sort(taken)
	return taken
}

func (s *memoryS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	conditions := ""
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if r.Header.Get(name) != "" {
			conditions += " " + name
		}
	}
	s.requests = append(s.requests, randomName.ReplaceAllString(r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery, "U")+conditions)
	w.Header().Set("X-Amz-Request-Id", "1")
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	switch {
	case key == r.URL.Path || key == "":
		s.bucket(w, r)
	case r.Method == http.MethodPut:
		s.put(w, r, key, body)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		s.get(w, r, key)
	}
}

func (s *memoryS3) bucket(w http.ResponseWriter, r *http.Request) {
	switch query := r.URL.Query(); {
	case query.Get("list-type") == "2":
		s.list(w, r)
	case r.Method == http.MethodGet:
		refuse(w, http.StatusNotFound, "NoSuchConfiguration")
	}
}

func (s *memoryS3) list(w http.ResponseWriter, r *http.Request) {
	type contents struct {
		Key, ETag, LastModified string
		Size                    int
	}
	out := struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix      string
		KeyCount, MaxKeys int
		IsTruncated       bool
		Contents          []contents
		CommonPrefixes    []struct{ Prefix string }
	}{Name: "bucket", Prefix: r.URL.Query().Get("prefix"), MaxKeys: 1000}
	last := ""
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, out.Prefix) || key <= r.URL.Query().Get("start-after") {
			continue
		}
		if folder, _, below := strings.Cut(key[len(out.Prefix):], "/"); below && r.URL.Query().Get("delimiter") == "/" {
			if name := out.Prefix + folder + "/"; name != last {
				last = name
				out.CommonPrefixes = append(out.CommonPrefixes, struct{ Prefix string }{name})
			}
			continue
		}
		o := s.objects[key]
		out.Contents = append(out.Contents, contents{key, o.header.Get("ETag"), "2026-01-01T00:00:00.000Z", len(o.body)})
	}
	out.KeyCount = len(out.Contents) + len(out.CommonPrefixes)
	_ = xml.NewEncoder(w).Encode(out)
}

func (s *memoryS3) put(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	old, there := s.objects[key]
	if match := r.Header.Get("If-Match"); match != "" && match != old.header.Get("ETag") || r.Header.Get("If-None-Match") == "*" && there {
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	o := storedObject{body, http.Header{"Etag": {fmt.Sprintf(`"%x"`, md5.Sum(body))}, "Last-Modified": {time.Now().UTC().Format(http.TimeFormat)}}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") || name == "Content-Type" || name == "Content-Encoding" {
			o.header[name] = values
		}
	}
	s.objects[key] = o
	w.Header().Set("ETag", o.header.Get("ETag"))
}

func (s *memoryS3) get(w http.ResponseWriter, r *http.Request, key string) {
	o, there := s.objects[key]
	switch {
	case !there:
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	case r.Header.Get("If-None-Match") == o.header.Get("ETag"):
		w.Header().Set("ETag", o.header.Get("ETag"))
		w.WriteHeader(http.StatusNotModified)
		return
	}
	maps.Copy(w.Header(), o.header)
	w.Header().Set("Content-Length", fmt.Sprint(len(o.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.body)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>canned</Message></Error>", code)
}
