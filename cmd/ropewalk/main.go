// Command ropewalk appends to the chains of a store, walks them back, proves
// them, and shows what happened to them: see ropewalk --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	// A command has a small living heap and makes much garbage: a collector that waits for
	// a share of the living heap would collect all the time. Nothing is written to the
	// spare memory, so the system provides none for it.
	spare := make([]byte, 32<<20)
	code := Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	runtime.KeepAlive(spare)
	os.Exit(code)
}
