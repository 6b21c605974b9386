// Command mutants breaks the checks of a package, one at a time, and reports
// whether the package's tests notice.
//
// A check is a condition whose branch returns an error or names what is wrong:
// see [checks]. A mutant is the package with one check that never fires, in an
// overlay that only the build sees.
//
//	go run ./internal/mutants ./changeset ./head       # every check
//	go run ./internal/mutants -sample 10 -seed 7 .     # ten checks, chosen by chance
//
// It prints the checks whose loss no test notices, and fails if the tests notice less
// than -threshold percent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

// timeout bounds the tests of one mutant. A mutant that hangs is noticed too.
const timeout = 2 * time.Minute

func main() {
	sample := flag.Int("sample", 0, "break `N` checks of each package, chosen by chance; 0 breaks all")
	seed := flag.Uint64("seed", 1, "the `seed` of the choice")
	threshold := flag.Float64("threshold", 95, "fail if the tests notice fewer mutants than this `percentage`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Args(), *sample, *seed, *threshold); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, folders []string, sample int, seed uint64, threshold float64) error {
	if len(folders) == 0 {
		return errors.New("name the packages to break, such as ./changeset")
	}
	total, noticed := 0, 0
	for _, folder := range folders {
		found, err := checks(folder)
		if err != nil {
			return err
		}
		if out, err := test(ctx, folder); err != nil {
			return fmt.Errorf("the tests of %s fail although nothing is broken: %w\n%s", folder, err, out)
		}
		for _, c := range choose(found, sample, seed) {
			killed, err := c.kill(ctx, folder)
			if err != nil {
				return err
			}
			total++
			if killed {
				noticed++
			} else {
				fmt.Printf("%s: broken, and no test notices\n", c)
			}
		}
	}
	percentage := 100 * float64(noticed) / float64(max(total, 1))
	fmt.Printf("%d checks broken, %d noticed (%.0f %%)\n", total, noticed, percentage)
	if total == 0 || percentage < threshold {
		return fmt.Errorf("fewer than %.0f %% of the broken checks were noticed", threshold)
	}
	return nil
}

// kill reports whether the tests of the package fail without the check.
func (c check) kill(ctx context.Context, folder string) (bool, error) {
	overlay, remove, err := c.overlay()
	if err != nil {
		return false, err
	}
	defer remove()
	if out, err := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, folder).CombinedOutput(); err != nil {
		return false, fmt.Errorf("%s: the mutant does not compile: %w\n%s", c, err, out)
	}
	_, err = test(ctx, folder, "-overlay", overlay, "-failfast")
	if _, failed := errors.AsType[*exec.ExitError](err); failed && ctx.Err() == nil {
		return true, nil
	}
	return false, errors.Join(ctx.Err(), err)
}

func test(ctx context.Context, folder string, flags ...string) ([]byte, error) {
	args := append([]string{"test", "-count=1", "-timeout", timeout.String()}, flags...)
	return exec.CommandContext(ctx, "go", append(args, folder)...).CombinedOutput()
}
