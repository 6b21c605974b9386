// Command before compares another commit with this one, for chains of format 1: what each
// operation requests, allocates, and takes of the processors. ../../before.sh builds it from
// both commits, so it uses only what both have.
//
//	before OTHER   runs the other program and itself in turns, and prints a table
//	before         prints its own figures as JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/meter"
)

// figures are what one run of one operation gave. Nanoseconds of processors, Allocations
// and Bytes that are allocated are for each changeset, Requests for all of an operation.
type figures struct {
	Name                            string
	Nanoseconds, Allocations, Bytes float64
	Requests                        int
}

func main() {
	flag.Parse()
	if err := run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(other string) error {
	if other != "" {
		return compare(other)
	}
	all, err := measure(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

const turns = 7

// compare runs both programs in turns.
func compare(other string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var runs [2][][]figures
	for turn := range turns {
		for i := range runs {
			at := (turn + i) % 2
			got, err := runOnce([]string{other, self}[at])
			if err != nil {
				return err
			}
			runs[at] = append(runs[at], got)
		}
	}
	fmt.Println("| operation | requests before | after | allocations before | after | bytes before | after | processor time after / before, in turns | of the lowest |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for i, o := range runs[1][0] {
		var ratios, before, after []float64
		for turn := range turns {
			before = append(before, runs[0][turn][i].Nanoseconds)
			after = append(after, runs[1][turn][i].Nanoseconds)
			ratios = append(ratios, after[turn]/before[turn])
		}
		was, ratio := runs[0][0][i], report.Of(ratios)
		fmt.Printf("| %s | %d | %d | %.4g | %.4g | %.0f | %.0f | %.2f (%.2f–%.2f) | %.2f |\n", o.Name, was.Requests, o.Requests, was.Allocations, o.Allocations,
			was.Bytes, o.Bytes, ratio.Median, ratio.Low, ratio.High, slices.Min(after)/slices.Min(before))
	}
	return nil
}

func runOnce(program string) (got []figures, err error) {
	out, err := exec.Command(program).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return got, json.Unmarshal(out, &got)
}

// operation is what is measured: per is how many changesets each time takes in.
type operation struct {
	name string
	per  int
	do   func(ctx context.Context) error
	m    *meter.Meter
}

const history = 1000

// enough is how much time of processors an operation is measured for, in each turn.
const enough = 60 * time.Millisecond

func measure(ctx context.Context) (all []figures, err error) {
	folder, err := os.MkdirTemp("", "before.")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	items, err := dynamostore.New(accepting(), "heads", nil)
	if err != nil {
		return nil, err
	}
	one, two, three := memstore.New(), memstore.New(), memstore.New()
	for _, s := range []struct {
		name       string
		changesets changeset.Store
		heads      head.Store
		reads      bool
	}{
		{"memory", one, one, true},
		{"memory in two steps", two, faults.TwoSteps(two), true},
		{"SQLite", file, file, true},
		{"DynamoDB's client", three, items, false},
	} {
		for _, o := range operations(s.name, s.changesets, s.heads, s.reads) {
			got, err := o.figures(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o.name, err)
			}
			all = append(all, got)
		}
	}
	return all, nil
}

func (o operation) figures(ctx context.Context) (figures, error) {
	o.m.Reset()
	if err := o.do(ctx); err != nil {
		return figures{}, err
	}
	requests, times := o.m.Requests(), 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, took := lab.ProcessorTime(), time.Duration(0)
	for ; took < enough; took = lab.ProcessorTime() - start {
		if err := o.do(ctx); err != nil {
			return figures{}, err
		}
		times++
	}
	runtime.ReadMemStats(&after)
	each := float64(times * o.per)
	return figures{o.name, float64(took.Nanoseconds()) / each, float64(after.Mallocs-before.Mallocs) / each, float64(after.TotalAlloc-before.TotalAlloc) / each, requests}, nil
}

// operations append a hundred changesets to a chain of their own, and read and verify a
// thousand.
func operations(name string, changesets changeset.Store, heads head.Store, reads bool) []operation {
	m := meter.New(0)
	changesets, heads = m.Changesets(changesets), m.Heads(heads)
	store := ropewalk.New(changesets, heads, nil)
	const appends = 100
	n := 0
	all := []operation{{"append, " + name, appends, func(ctx context.Context) error {
		n++
		return extend(ctx, store.Chain(fmt.Sprintf("order-%d", n)), appends)
	}, m}}
	if !reads {
		return all
	}
	read := store.Chain("read")
	if err := extend(context.Background(), read, history); err != nil {
		panic(err) // in memory, and on a disk of its own
	}
	return append(all,
		operation{"read forward, " + name, history, func(ctx context.Context) error { return drain(ctx, read, false) }, m},
		operation{"read backward, " + name, history, func(ctx context.Context) error { return drain(ctx, read, true) }, m},
		operation{"verify, " + name, history, func(ctx context.Context) error {
			report, err := inspect.New(changesets.(inspect.Changesets), heads, nil).Verify(ctx, "read")
			if err == nil && (len(report.Problems) > 0 || report.Committed != history) {
				err = fmt.Errorf("%d of %d: %v", report.Committed, history, report.Problems)
			}
			return err
		}, m})
}

func extend(ctx context.Context, chain *ropewalk.Chain, n int) (err error) {
	content := []byte(strings.Repeat("x", 512))
	var h head.Head
	for i := 0; i < n && err == nil; i++ {
		h, err = chain.Append(ctx, h, changeset.Draft{Content: content})
	}
	return err
}

func drain(ctx context.Context, chain *ropewalk.Chain, backward bool) error {
	r, err := chain.Reader(ctx)
	if err != nil {
		return err
	}
	for _, err := range r.Changesets(ctx, ropewalk.Range{Last: ropewalk.Newest, Backward: backward}) {
		if err != nil {
			return err
		}
	}
	return nil
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// accepting returns a client of a table that accepts every write and keeps nothing.
func accepting() *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("bench", "benchbench", ""),
		HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
			_, err := io.Copy(io.Discard, r.Body)
			return &http.Response{
				StatusCode: http.StatusOK, Request: r, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}")),
				Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"accepted"}},
			}, err
		}),
	})
}
