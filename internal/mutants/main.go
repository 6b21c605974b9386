// Command mutants breaks the checks of the module, one at a time, and sees
// whether the tests notice. Each entry of the [list] is one mutant: a text of
// one file that is replaced by another, in an overlay that only the build sees,
// and the packages whose tests must fail then.
//
//	go run ./internal/mutants            # all of them
//	go run ./internal/mutants -run gc    # those whose names or files match
//
// It prints a table in Markdown, and fails if a mutant survives or does not compile.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"
)

// timeout bounds the tests of one mutant; a mutant that hangs is noticed, too.
const timeout = 3 * time.Minute

func main() {
	pattern := flag.String("run", "", "only the mutants whose names or files match the `REGEXP`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *pattern); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, pattern string) error {
	chosen, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	mutants := slices.DeleteFunc(slices.Clone(list), func(m mutant) bool { return !chosen.MatchString(m.name + " " + m.file) })
	if err := baseline(ctx, mutants); err != nil {
		return err
	}
	killed := 0
	fmt.Print("| broken check | file | noticed by | after |\n| --- | --- | --- | --- |\n")
	for _, m := range mutants {
		start := time.Now()
		by, err := m.kill(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if by != "" {
			killed++
		}
		fmt.Printf("| %s | `%s` | %s | %.0f s |\n", m.name, m.file, noticed(by), time.Since(start).Seconds())
	}
	fmt.Printf("\n%d mutants, %d killed\n", len(mutants), killed)
	if survived := len(mutants) - killed; survived > 0 {
		return fmt.Errorf("%d of %d mutants survived", survived, len(mutants))
	}
	return nil
}

// baseline sees that the tests pass where nothing is broken: else they would
// notice everything.
func baseline(ctx context.Context, mutants []mutant) error {
	if len(mutants) == 0 {
		return errors.New("no mutant has such a name or file")
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.tests] {
			continue
		}
		seen[m.tests] = true
		if out, err := command(ctx, append([]string{"test", "-timeout", (3 * timeout).String()}, strings.Fields(m.tests)...)); err != nil {
			return fmt.Errorf("the tests fail where nothing is broken: %w\n%s", err, out)
		}
	}
	return nil
}

func noticed(by string) string {
	if by == "" {
		return "**nothing**"
	}
	return "`" + by + "`"
}

// kill runs the tests of the mutant. It returns the first test that has
// noticed it, or nothing.
func (m mutant) kill(ctx context.Context) (by string, err error) {
	overlay, remove, err := m.overlay()
	if err != nil {
		return "", err
	}
	defer remove()
	args := []string{"test", "-overlay", overlay, "-count=1", "-failfast", "-timeout", timeout.String()}
	out, err := command(ctx, append(args, strings.Fields(m.tests)...))
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil || !errors.As(err, &failed):
		return "", errors.Join(ctx.Err(), err)
	case bytes.Contains(out, []byte("[build failed]")):
		return "", fmt.Errorf("it does not compile:\n%s", out)
	default:
		return firstFailure(out)
	}
}

func command(ctx context.Context, args []string) ([]byte, error) {
	return exec.CommandContext(ctx, "go", args...).CombinedOutput()
}

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	halted  = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*)$`)
)

// firstFailure returns the test that failed, or the panic that ended all.
func firstFailure(out []byte) (string, error) {
	for _, sign := range []*regexp.Regexp{failure, halted} {
		if m := sign.FindSubmatch(out); m != nil {
			return string(m[1]), nil
		}
	}
	return "", fmt.Errorf("no test has failed, and yet:\n%s", out)
}
