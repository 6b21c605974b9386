package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ropewalk"
	"ropewalk/archive"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
)

var queryExperiment = experiment{
	name: "query", title: "One question about all events",
	setup: `How many pieces of each item were ordered? The same events, about 300 bytes each and one in a changeset, lie on the local disk
as an archive in Parquet, as one file of NDJSON, and as the objects of a bucket, one file each. A loop in Go reads each of
them, and DuckDB does, if ROPEWALK_TEST_DUCKDB_PYTHON names a Python that can import it. Every answer is compared. The disk's cache is
warm, and the start of Python and of DuckDB is not counted. In a bucket each object is a request more.`,
	run: runQuery,
}

// copies is a folder with the same events in three forms.
type copies struct {
	folder string
	events int
	answer map[string]int // pieces by item
}

const (
	archiveFolder = "archive"
	linesFile     = "events.ndjson"
	objectsFolder = "changesets"
)

// orderLine is an event as the copies have it.
type orderLine struct {
	Aggregate string `json:"aggregate"`
	Type      string `json:"type"`
	ID        string `json:"id"`
	Time      string `json:"time"`
	Data      struct {
		Item     string `json:"item"`
		Quantity int    `json:"quantity"`
		Note     string `json:"note"`
	} `json:"data"`
}

func makeCopies(ctx context.Context, l *laboratory, events int) (*copies, error) {
	folder, err := l.folder("query")
	if err != nil {
		return nil, err
	}
	c := &copies{folder: folder, events: events, answer: map[string]int{}}
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	lines, err := os.Create(c.path(linesFile))
	if err != nil {
		return nil, err
	}
	heads := map[string]head.Head{}
	for i := range events {
		line, err := c.line(i)
		if err != nil {
			return nil, errors.Join(err, lines.Close())
		}
		id := fmt.Sprintf("order-%d", i%(events/10))
		next, err := store.Chain(id).Append(ctx, heads[id], changeset.Draft{Content: line, ContentType: "application/x-ndjson"})
		heads[id] = next
		if err = errors.Join(err, c.writeObject(next.Ref, line), writeAll(lines, line)); err != nil {
			return nil, errors.Join(err, lines.Close())
		}
	}
	_, err = archive.Open(archive.NewFolder(c.path(archiveFolder)), nil).Run(ctx, feed.Open(store, nil))
	return c, errors.Join(err, lines.Close())
}

func (c *copies) path(name string) string { return filepath.Join(c.folder, name) }

// line returns an event, and adds it to the answer.
func (c *copies) line(i int) ([]byte, error) {
	l := orderLine{Aggregate: fmt.Sprintf("order-%d", i%(c.events/10)), Type: []string{"line-added", "created", "shipped"}[i%3]}
	l.ID = changeset.NewID().String()
	l.Time = time.Date(2026, 3, 1, 0, 0, i, 0, time.UTC).Format(time.RFC3339)
	l.Data.Item, l.Data.Quantity, l.Data.Note = fmt.Sprintf("item %d", i*i%97), 1+i%5, fmt.Sprintf("%064x", i*7919)
	if l.Type == "line-added" {
		c.answer[l.Data.Item] += l.Data.Quantity
	}
	text, err := json.Marshal(l)
	return append(text, '\n'), err
}

func (c *copies) writeObject(ref changeset.Ref, content []byte) error {
	object := filepath.Join(c.folder, changeset.FolderOf(ref.AggregateID), ref.ID.String())
	if err := os.MkdirAll(filepath.Dir(object), 0o700); err != nil {
		return err
	}
	return os.WriteFile(object, content, 0o600)
}

func writeAll(f *os.File, text []byte) error {
	_, err := f.Write(text)
	return err
}

// add adds the pieces of an event's data to an answer.
func add(answer map[string]int, kind string, data []byte) error {
	if kind != "line-added" {
		return nil
	}
	var l orderLine
	err := json.Unmarshal(data, &l.Data)
	answer[l.Data.Item] += l.Data.Quantity
	return err
}

// addLine adds the pieces of a whole line.
func addLine(answer map[string]int, line []byte) error {
	var l struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	return add(answer, l.Type, l.Data)
}

// byArchive answers from the files that the archive has.
func (c *copies) byArchive(ctx context.Context) (map[string]int, error) {
	answer := map[string]int{}
	files, err := archive.Open(archive.NewFolder(c.path(archiveFolder)), nil).Files(ctx)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(c.path(archiveFolder), filepath.FromSlash(file.Name)))
		if err != nil {
			return nil, err
		}
		for row, err := range archive.Read(bytes.NewReader(content), int64(len(content))) {
			if err := errors.Join(err, add(answer, row.Type, []byte(row.Data))); err != nil {
				return nil, err
			}
		}
	}
	return answer, nil
}

func (c *copies) byLines(context.Context) (map[string]int, error) {
	answer := map[string]int{}
	f, err := os.Open(c.path(linesFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if err := addLine(answer, lines.Bytes()); err != nil {
			return nil, err
		}
	}
	return answer, lines.Err()
}

func (c *copies) byObjects(context.Context) (map[string]int, error) {
	answer := map[string]int{}
	err := filepath.WalkDir(c.path(objectsFolder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		line, err := os.ReadFile(path)
		return errors.Join(err, addLine(answer, line))
	})
	return answer, err
}

// question is the script that asks DuckDB. It prints the milliseconds and the answer.
const question = `
import json, sys, time, duckdb
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false") # it goes to stdout
before, source = sys.argv[1:]
started = time.monotonic()
if before:
    connection.execute(before)
query = "SELECT data->>'$.item' AS item, sum(CAST(data->>'$.quantity' AS BIGINT)) FROM " + source + " WHERE type = 'line-added' GROUP BY item"
rows = connection.execute(query).fetchall()
json.dump({"ms": (time.monotonic() - started) * 1000, "answer": {item: int(n) for item, n in rows}}, sys.stdout)
`

// byDuckDB returns how many milliseconds DuckDB takes.
func (c *copies) byDuckDB(ctx context.Context, python, before, source string) (float64, error) {
	command := exec.CommandContext(ctx, python, "-c", question, before, source)
	command.Dir, command.Stderr = c.folder, os.Stderr
	out, err := command.Output()
	if err != nil {
		return 0, err
	}
	var result struct {
		MS     float64        `json:"ms"`
		Answer map[string]int `json:"answer"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, err
	}
	return result.MS, c.check(result.Answer)
}

func (c *copies) check(answer map[string]int) error {
	if !maps.Equal(answer, c.answer) {
		return fmt.Errorf("%d items: another answer than a fold over the events gives", len(answer))
	}
	return nil
}

// queryForms are the forms of the events, and how DuckDB finds them.
var queryForms = []struct {
	name, before, source string
	loop                 func(*copies, context.Context) (map[string]int, error)
}{
	{
		"Parquet",
		"SET VARIABLE files = (SELECT list('archive/' || add) FROM read_json('archive/manifests/*.ndjson', format = 'newline_delimited', columns = {add: 'VARCHAR'}) WHERE add IS NOT NULL)",
		"read_parquet(getvariable('files'), hive_partitioning = true)", (*copies).byArchive,
	},
	{"NDJSON", "", "read_json('events.ndjson', format = 'newline_delimited', columns = {type: 'VARCHAR', data: 'JSON'})", (*copies).byLines},
	{"objects one by one", "", "read_json('changesets/*/*', format = 'newline_delimited', columns = {type: 'VARCHAR', data: 'JSON'})", (*copies).byObjects},
}

// variants are a loop over each form, and DuckDB over each form.
func (c *copies) variants(python string) (variants []lab.Variant) {
	for _, form := range queryForms {
		variants = append(variants, lab.Milliseconds(func(ctx context.Context) error {
			answer, err := form.loop(c, ctx)
			return errors.Join(err, c.check(answer))
		}))
	}
	for _, form := range queryForms {
		if python != "" {
			variants = append(variants, func(ctx context.Context) (float64, error) { return c.byDuckDB(ctx, python, form.before, form.source) })
		}
	}
	return variants
}

func runQuery(ctx context.Context, l *laboratory, r *report.Results) error {
	c, err := makeCopies(ctx, l, pick(l, 20_000, 600))
	if err != nil {
		return err
	}
	python := os.Getenv("ROPEWALK_TEST_DUCKDB_PYTHON")
	if python != "" {
		version, err := exec.CommandContext(ctx, python, "-c", "import duckdb; print('DuckDB', duckdb.__version__, end='')").Output()
		if err != nil {
			return err
		}
		l.versions = append(l.versions, string(version))
	}
	figures, err := lab.Turns(ctx, pick(l, 7, 1), c.variants(python)...)
	if err != nil {
		return err
	}
	for i := range figures {
		form, who := queryForms[i%len(queryForms)], "a loop in Go"
		if i >= len(queryForms) {
			who = "DuckDB"
		}
		row := report.Row{Name: who, What: form.name, N: c.events, Value: report.Of(figures[i]), Unit: "ms"}
		if first := i - i%len(queryForms); i != first {
			row = row.Against(report.Ratios(figures[i], figures[first]), "Parquet")
		}
		r.Rows = append(r.Rows, row)
	}
	r.Limits = []string{
		"DuckDB over Parquet reads two columns of one type's files; over NDJSON it parses every line; over objects it opens every file.",
		"The loop over Parquet reads every column, checks every page and makes a whole row: it proves and rewrites archives, and is no engine for questions.",
	}
	return nil
}
