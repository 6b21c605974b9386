// Command bench measures Ropewalk, side by side with what people would take
// instead, and writes bench/results/performance.md. It is a module of its own, so that
// nothing it compares with becomes a dependency of Ropewalk.
//
//	make bench                            all of it
//	go run . -run 'walk|hot'              some experiments
//	go run . -quick                       a test of the benchmarks themselves
//
// Some experiments start servers, whose programs servers.sh installs:
// eval "$(./servers.sh)".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArgument {
		if err := child(os.Args[2], os.Args[3:]); err != nil {
			fail(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

func run(ctx context.Context) error {
	quick := flag.Bool("quick", false, "cut sizes and repetitions down, and write nothing but to the folder -out, if that is given")
	only := flag.String("run", "", "run the experiments whose name matches this regular `expression`")
	out := flag.String("out", "", "write bench/results below this `folder` (default: the checkout)")
	work := flag.String("work", "", "keep stores in this `folder`, whose disk is measured (default: .cache in the checkout)")
	seed := flag.Uint64("seed", 1, "seed of the contents")
	render := flag.Bool("render", false, "run nothing, and write the page of the results of earlier runs")
	flag.Parse()
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	l, err := newLaboratory(*quick, *seed, *work)
	if err != nil {
		return err
	}
	defer l.close()
	if *out == "" && *quick {
		*out = l.dir // which is removed
	} else if *out == "" {
		*out = ".."
	}
	results := filepath.Join(*out, "bench", "results")
	for _, e := range experiments {
		if *render || !wanted.MatchString(e.name) {
			continue
		}
		if err := l.experiment(ctx, e, results); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return page(results)
}
