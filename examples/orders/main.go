// Command orders serves orders over HTTP: an example of a service on package
// aggregate. Its README walks through it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ropewalk"
)

// shutdownTimeout is how long requests that are under way may take to end. It
// is longer than a request may take, with what an append takes to learn its outcome.
const shutdownTimeout = 40 * time.Second

func main() {
	addr := flag.String("addr", cmp.Or(os.Getenv("ORDERS_ADDR"), "localhost:8080"), "address to listen on")
	storeURL := flag.String("store", cmp.Or(os.Getenv("ORDERS_STORE"), "file:orders.db"), "store: file:, mem:, aws:// or azure://")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *addr, *storeURL, log)
	stop()
	if err != nil {
		log.Error("orders", "error", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, addr, storeURL string, log *slog.Logger) (err error) {
	store, closeStore, err := open(ctx, storeURL, &ropewalk.Options{Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	log.Info("serving orders", "addr", listener.Addr().String())
	return serve(ctx, listener, newService(store, log))
}

// serve answers requests until the context ends. Then it takes no new ones,
// and returns when those under way are answered and their snapshots written.
func serve(ctx context.Context, listener net.Listener, s *service) error {
	server := newServer(s)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(rest)
	if err != nil {
		_ = server.Close() // the connections that are still open have had their time
	}
	return errors.Join(err, s.repo.Wait(rest))
}

// newServer returns a server that no client can hold for long.
func newServer(s *service) *http.Server {
	return &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      shutdownTimeout, // of all; each answer has its own, shorter time
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
