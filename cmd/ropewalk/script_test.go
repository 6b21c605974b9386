package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/faults"
	"ropewalk/internal/link"
	"ropewalk/internal/testenv"
)

// cleared runs the tests without the variables that the command reads. The
// command itself, which the scripts run, has the environment of its script.
type cleared struct{ *testing.M }

func (c cleared) Run() int {
	testenv.Clear()
	return c.M.Run()
}

// TestMain shortens the second that a program sleeps at its end under the race
// detector: the scripts run hundreds of commands.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=10")
	}
	testscript.Main(cleared{m}, map[string]func(){"ropewalk": main})
}

func TestTestsSurviveAnyEnvironment(t *testing.T) {
	t.Parallel()
	testenv.RunHostile(t, "^(TestScripts|TestColours)$/^(streams|init)$")
}

// TestScripts runs the scripts in testdata/script. Beside the usual commands
// they have:
//
//	mask FROM TO       copies a file or stdout, with IDs, digests and times made the same in every run
//	schema FROM        holds every line against the published schema of its kind
//	tamper FILE SQL    changes a store's file directly
//	digest FROM        sets $digest from JSON
//	exits CODE CMD...  runs a command of the script, which must exit with that code
//	save FROM          sets $ref, $etag, $id and $end, the ID's last 12 digits, from JSON
//	closed CMD...      runs a command whose stdout is closed, which must be silent
//	latin1 FILE        writes a file that is not UTF-8
//	pend FILE ID       puts a changeset into a SQLite store without swapping the head,
//	                   and sets $ref, $id and $end
//	late FILE ID       puts an object of an append that was under way
//	compress FILE ID CONTENT...
//	                   appends contents as NDJSON, compressed
//	tip FILE ID CONTENT...
//	                   appends contents one by one, into the tip of a packed chain
//	crash FILE         writes the files of a killed program, with the aggregate killed
//	hold FILE          keeps a store open until the script ends
//	damage FILE        destroys the pages of a store
//	snapshot FILE ID   puts an object where the aggregate's snapshots are
//
// With UPDATE_SCRIPTS=1 in the environment what cmp has seen is written into the
// scripts.
func TestScripts(t *testing.T) {
	t.Parallel()
	schemas := compileSchemas(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Values["mask"] = newMask()
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mask": func(ts *testscript.TestScript, _ bool, args []string) {
				masked := ts.Value("mask").(*mask).apply(ts.ReadFile(args[0]))
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(masked), 0o600))
			},
			"schema": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(schemas.check([]byte(ts.ReadFile(args[0]))))
			},
			"exits":  exits,
			"tamper": tamper,
			"digest": keepDigest,
			"save":   save,
			"closed": closed,
			"latin1": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("caf\xe9!\n"), 0o600))
			},
			"pend":     pend,
			"late":     putLate,
			"snapshot": putSnapshot,
			"compress": compress,
			"tip":      appendTip,
			"crash":    crash,
			"hold":     hold,
			"damage":   damagePages,
		},
	})
}

// exits runs a program, as exec does, and checks its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit code %s, not %s: %v", strings.Join(args[1:], " "), got, args[0], err)
	}
}

// closed runs a program with a closed pipe for its stdout. It must say nothing
// about it, and must not fail otherwise than by the pipe.
func closed(ts *testscript.TestScript, _ bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	ts.Check(r.Close())
	defer w.Close()
	var stderr bytes.Buffer
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), w, &stderr
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "ROPEWALK_STORE=" + ts.Getenv("ROPEWALK_STORE")}
	err = cmd.Run()
	if stderr.Len() > 0 || err != nil && err.Error() != "signal: broken pipe" && err.Error() != "exit status 141" {
		ts.Fatalf("%s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
}

func save(ts *testscript.TestScript, _ bool, args []string) {
	var line struct{ Ref, ETag, ID string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &line))
	setRef(ts, line.Ref, line.ID)
	ts.Setenv("etag", line.ETag)
}

func setRef(ts *testscript.TestScript, ref, id string) {
	ts.Setenv("ref", ref)
	ts.Setenv("id", id)
	ts.Setenv("end", id[len(id)-12:])
}

// pend stores an append whose swap was never sent.
func pend(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	db, err := sqlitestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	h, err := db.Load(ctx, args[1])
	ts.Check(err)
	built, _, err := link.Extend(h, args[1], []changeset.Draft{{Content: []byte("never swapped\n"), ContentType: "text/plain"}}, time.Now())
	ts.Check(err)
	ts.Check(db.Put(ctx, built[0]))
	ts.Check(db.Close())
	setRef(ts, built[0].Ref.String(), built[0].ID.String())
}

// compress appends the contents of files, by one append.
func compress(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	db, err := sqlitestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	var drafts []changeset.Draft
	for _, name := range args[2:] {
		drafts = append(drafts, changeset.Draft{Content: []byte(ts.ReadFile(name)), ContentType: ndjson.ContentType})
	}
	_, err = ropewalk.New(db, db, &ropewalk.Options{Compress: true}).Chain(args[1]).Create(ctx, drafts...)
	ts.Check(err)
	ts.Check(db.Close())
}

// appendTip appends contents one by one, as a store does whose heads have tips.
func appendTip(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	db, err := sqlitestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	store := ropewalk.New(db, faults.TwoSteps(db), &ropewalk.Options{Packed: true, TipSize: 4096})
	h, err := db.Load(ctx, args[1])
	ts.Check(err)
	for _, content := range args[2:] {
		h, err = store.Chain(args[1]).Append(ctx, h, changeset.Draft{Content: []byte(content)})
		ts.Check(err)
	}
	ts.Check(db.Close())
}

// mask replaces what differs from run to run by something as long that does
// not: the first ID it meets by an ID that ends in 1, and so on. IDs that are
// cut to their end are recognised.
type mask struct{ ids, digests map[string]string }

func newMask() *mask { return &mask{map[string]string{}, map[string]string{}} }

var (
	maskable = regexp.MustCompile(
		`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}` + // a UUID
			`|…[0-9a-f]{6,12}\b` + // the end of one
			`|\bl\.[0-9a-f]{16}\.[0-9]+\.[0-9a-f]{16}\b` + // the part of a position before the version
			`|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{9})?Z`) // a time
	// A digest, or a hash of content, which is the same in every run.
	maskableDigest = regexp.MustCompile(`(sha256\W{1,3})?[A-Za-z0-9_-]{43,}`)
)

func (m *mask) apply(text string) string {
	text = maskable.ReplaceAllStringFunc(text, func(s string) string {
		switch {
		case strings.HasPrefix(s, "…"):
			return m.end(strings.TrimPrefix(s, "…"))
		case strings.HasPrefix(s, "l."):
			parts := strings.Split(s, ".")
			return "l.feed567890123456." + parts[2] + ".mark567890123456"
		case len(s) == 36 && s[8] == '-':
			if m.ids[s] == "" {
				m.ids[s] = fmt.Sprintf("00000000-0000-7000-8000-%012d", len(m.ids)+1)
			}
			return m.ids[s]
		default:
			return "2026-01-01" + s[10:11] + "00:00:00" + strings.Repeat(".000000000", len(s)/30) + "Z"
		}
	})
	return maskableDigest.ReplaceAllStringFunc(text, func(s string) string {
		if len(s) != 43 {
			return s
		}
		if m.digests[s] == "" {
			m.digests[s] = fmt.Sprintf("digest%037d", len(m.digests)+1)
		}
		return m.digests[s]
	})
}

// end masks the end of an ID that was seen before.
func (m *mask) end(s string) string {
	for id, masked := range m.ids {
		if strings.HasSuffix(id, s) {
			return "…" + masked[len(masked)-len(s):]
		}
	}
	return "…" + s
}

// schemaSet holds the published schemas by kind, made strict: fields that they
// do not name are refused.
type schemaSet map[string]*jsonschema.Schema

func compileSchemas(t *testing.T) schemaSet {
	set, compiler := schemaSet{}, jsonschema.NewCompiler()
	for _, name := range schemaNames() {
		text, err := schemas.ReadFile("schema/" + name + ".json")
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err, name)
		makeStrict(doc)
		require.NoError(t, compiler.AddResource(name+".json", doc))
		set[name], err = compiler.Compile(name + ".json")
		require.NoError(t, err, name)
	}
	return set
}

func makeStrict(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, stated := node["additionalProperties"]; node["properties"] != nil && !stated {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			makeStrict(child)
		}
	case []any:
		for _, child := range node {
			makeStrict(child)
		}
	}
}

// check holds lines of JSON against the schemas of their kinds.
func (s schemaSet) check(lines []byte) error {
	if len(bytes.TrimSpace(lines)) == 0 {
		return fmt.Errorf("no JSON")
	}
	for line := range bytes.Lines(lines) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		var opening struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(line, &opening); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if opening.Kind == "" {
			opening.Kind = "error"
		}
		schema := s[opening.Kind]
		if schema == nil {
			return fmt.Errorf("%s: no schema for kind %q", line, opening.Kind)
		}
		if err := schema.Validate(doc); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}
