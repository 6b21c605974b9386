package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ropewalk/bench/internal/report"
)

var newcomerExperiment = experiment{
	name: "newcomer", title: "From a clone to a chain in the browser",
	setup: `The lines of README.md that a newcomer runs first, in a fresh clone: the demo, the installation, two appends, the log, and a chain
in the browser, which is fetched here and not drawn. Go's module cache is warm, since a download takes as long as the network
takes, and its build cache is empty.`,
	run: runNewcomer,
}

const newcomerLimit = 3 * time.Minute

// newcomerSteps are lines of README.md, after the clone.
var newcomerSteps = []string{
	"go run ./cmd/ropewalk demo",
	"go install ./cmd/ropewalk",
	`echo '{"type":"created"}' | ropewalk append order-4711 --new`,
	`echo '{"type":"shipped"}' | ropewalk append order-4711 --after 0`,
	"ropewalk log order-4711 --events",
}

// inReadme returns an error unless the README in a folder has all steps.
func inReadme(folder string) error {
	readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
	for _, line := range newcomerSteps {
		if err == nil && !strings.Contains(string(readme), "\n$ "+line) {
			err = fmt.Errorf("README.md no longer has the line %q", line)
		}
	}
	return err
}

// withCommand lets a shell find the command where it was installed.
const withCommand = `PATH="$GOBIN:$PATH"; `

// newcomer is a user with a fresh clone.
type newcomer struct {
	clone       string
	environment []string
	results     *report.Results
	total       time.Duration
}

func runNewcomer(ctx context.Context, l *laboratory, r *report.Results) error {
	home, err := l.folder("newcomer")
	if err != nil {
		return err
	}
	n := newcomer{clone: filepath.Join(home, "ropewalk"), results: r, environment: append(
		os.Environ(), "ROPEWALK_STORE=file:"+filepath.Join(home, "shop.db"), "GOBIN="+filepath.Join(home, "bin"),
	)}
	if !l.quick { // a quick run compiles nothing again
		n.environment = append(n.environment, "GOCACHE="+filepath.Join(home, "cache"))
	}
	checkout, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	if err := n.step("git clone", func() error { return n.shell(ctx, home, "git clone -q '"+checkout+"' ropewalk") }); err != nil {
		return err
	}
	if err := inReadme(n.clone); err != nil {
		return err
	}
	for _, line := range newcomerSteps {
		if err := n.step(line, func() error { return n.shell(ctx, n.clone, line) }); err != nil {
			return err
		}
	}
	if err := n.step("ropewalk ui", func() error { return n.browse(ctx) }); err != nil {
		return err
	}
	r.Rows = append(r.Rows, report.Row{Name: "in all", Value: report.One(n.total.Seconds()), Unit: "s"}.
		Aim(fmt.Sprintf("%.0f s", newcomerLimit.Seconds()), n.total < newcomerLimit))
	r.Limits = []string{"Compiling takes nearly all of it: the clients of both clouds and SQLite in Go are in the command, and `go install` links it once more with what `go run` has compiled."}
	return nil
}

// step does something and keeps how long it took.
func (n *newcomer) step(what string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := time.Since(start)
	n.total += took
	n.results.Rows = append(n.results.Rows, report.Row{Name: "`" + what + "`", Value: report.One(took.Seconds()), Unit: "s"})
	return nil
}

// shell runs a line in a folder.
func (n *newcomer) shell(ctx context.Context, folder, line string) error {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", withCommand+line)
	cmd.Dir, cmd.Env = folder, n.environment
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// browse fetches the page of the chain from the inspector, as a browser with its link does.
func (n *newcomer) browse(ctx context.Context) (err error) {
	ui := exec.CommandContext(ctx, "bash", "-c", withCommand+"exec ropewalk ui")
	ui.Env = n.environment
	out, err := ui.StdoutPipe()
	if err == nil {
		err = ui.Start()
	}
	if err != nil {
		return err
	}
	defer func() {
		_ = ui.Process.Signal(syscall.SIGINT)
		_ = ui.Wait() // its exit code says that it was interrupted
	}()
	link, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	link = strings.TrimSpace(link)
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Jar: jar}
	if _, err := fetchPage(ctx, client, link); err != nil {
		return err
	}
	page, err := fetchPage(ctx, client, link[:strings.Index(link, "?")]+"chain?id=order-4711")
	if err == nil && !strings.Contains(page, `class="row committed head"`) {
		err = errors.New("the page has no head")
	}
	return err
}

func fetchPage(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return string(text), err
}
