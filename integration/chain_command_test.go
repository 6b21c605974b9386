//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command is the built command.
type command struct{ path string }

// result is how a run of the command has ended.
type result struct {
	stdout, stderr string
	exit           int
	took           time.Duration
}

// buildCommand builds the command as its users do.
func buildCommand(t *testing.T) command {
	t.Helper()
	c := command{filepath.Join(t.TempDir(), "ropewalk")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", c.path, "../cmd/ropewalk")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return c
}

// run runs the command in nothing but the given environment.
func (c command) run(t *testing.T, environment []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.Dir = filepath.Dir(c.path)
	cmd.Env = append([]string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}, environment...)
	began := time.Now()
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Error(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
}

// TestCommandOverClouds uses the command as one would, on each cloud.
func TestCommandOverClouds(t *testing.T) {
	t.Parallel()
	c := buildCommand(t)
	overClouds(t, func(t *testing.T, cloud cloud) {
		place := cloud.open(t)
		environment := append(place.environment(t), "ROPEWALK_STORE="+place.url())
		run := func(t *testing.T, stdin string, args ...string) string {
			t.Helper()
			r := c.run(t, environment, stdin, args...)
			require.Zero(t, r.exit, "%v: %s", args, r.stderr)
			t.Logf("%s: %s", strings.Join(args, " "), r.took.Round(time.Millisecond))
			return r.stdout
		}
		run(t, "", "init")
		run(t, "", "init") // again does no harm
		findings := run(t, "", "init", "--check")
		require.Contains(t, findings, "conditional writes")
		require.Contains(t, findings, "several aggregates in one commit ")
		t.Run("import and export", func(t *testing.T) { importAndExport(t, run) })
		t.Run("several aggregates in one commit", func(t *testing.T) { together(t, c, environment, cloud.name == "S3 and DynamoDB") })
		t.Run("sixteen processes", func(t *testing.T) { sixteenProcesses(t, c, environment, run) })
	})
}

// together appends to several aggregates in one commit, or requires that this is refused
// before anything is sent if heads cannot be swapped together.
func together(t *testing.T, c command, environment []string, supported bool) {
	const first = `{"aggregate":"together-1","new":true,"content":{"type":"placed"}}
{"aggregate":"together-2","new":true,"content":{"type":"reserved"}}
{"aggregate":"together-3","new":true,"unchanged":true}
`
	const second = `{"aggregate":"together-1","after":0,"content":{"type":"shipped"}}
{"aggregate":"together-2","after":7,"unchanged":true}
`
	r := c.run(t, environment, first, "append", "--commit", "-")
	if !supported {
		require.Equal(t, 2, r.exit, r.stderr)
		require.Contains(t, r.stderr, "nothing was sent")
		require.Contains(t, r.stderr, "hint: heads in DynamoDB and in a SQLite file can be")
		require.Equal(t, 3, c.run(t, environment, "", "head", "together-1").exit)
		return
	}
	require.Zero(t, r.exit, r.stderr)
	require.Regexp(t, `^together-1@0\.\S+\ntogether-2@0\.\S+\n$`, r.stdout)
	r = c.run(t, environment, second, "append", "--commit", "-")
	require.Equal(t, 4, r.exit, r.stderr)
	require.Contains(t, r.stderr, "error: conflict: together-2 is at 0, not at 7")
	r = c.run(t, environment, strings.ReplaceAll(second, "7", "0"), "append", "--commit", "-")
	require.Zero(t, r.exit, r.stderr)
	require.Regexp(t, `^together-1@1\.\S+\n$`, r.stdout)
}

// importAndExport requires that what comes out is what went in.
func importAndExport(t *testing.T, run func(t *testing.T, stdin string, args ...string) string) {
	const aggregates, events = 140, 1_100
	input := generate(aggregates, events)
	counts := fmt.Sprintf("%d aggregates, 1,100 changesets", aggregates)
	require.Contains(t, run(t, input, "import", "-"), "imported "+counts)
	require.Contains(t, run(t, "", "verify", "--all"), "verified "+counts)
	require.Equal(t, byAggregate(t, input), byAggregate(t, run(t, "", "export")))
	require.Contains(t, run(t, input, "import", "-"), "there already: "+counts)
}

// generate returns events of aggregates as lines of JSON, mixed at random.
func generate(aggregates, events int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var lines strings.Builder
	for i := range events {
		n := i % aggregates
		if i >= aggregates { // the first are the longest
			n = random.IntN(1 + random.IntN(aggregates))
		}
		fmt.Fprintf(&lines, `{"aggregate":"case/%d é","type":"moved","number":%d,"note":%q}`+"\n", n, i, strings.Repeat("x", random.IntN(300)))
	}
	return lines.String()
}

// byAggregate returns the lines of each aggregate.
func byAggregate(t *testing.T, lines string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(lines) {
		var event struct {
			Aggregate string `json:"aggregate"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		all[event.Aggregate] = append(all[event.Aggregate], line)
	}
	return all
}

// sixteenProcesses lets as many processes append to one aggregate, each with
// --any: nothing is lost, and nothing is stored twice.
func sixteenProcesses(t *testing.T, c command, environment []string, run func(t *testing.T, stdin string, args ...string) string) {
	const processes, appends = 16, 5
	var want []string
	var group sync.WaitGroup
	for p := range processes {
		for i := range appends {
			want = append(want, fmt.Sprintf(`{"process":%d,"append":%d}`+"\n", p, i))
		}
		own := want[p*appends:]
		group.Go(func() {
			for _, content := range own {
				r := c.run(t, environment, content, "append", "contended", "--any")
				if r.exit != 0 {
					t.Errorf("exit code %d: %s", r.exit, r.stderr)
				}
			}
		})
	}
	group.Wait()
	got := strings.SplitAfter(run(t, "", "cat", fmt.Sprintf("contended@0..%d", processes*appends-1)), "\n")
	require.ElementsMatch(t, append(want, ""), got)
	require.Contains(t, run(t, "", "verify", "contended"), "80 changesets")
	require.Contains(t, run(t, "", "head", "contended"), "@79.")
}
