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
	"sync"
	"syscall"
	"time"

	"ropewalk"
)

// shutdownTimeout is how long requests that are under way may take to end. It
// is longer than a request may take, with what an append takes to learn its outcome.
const shutdownTimeout = 40 * time.Second

// settings are what the flags say.
type settings struct {
	addr, store, views string
	nameKey            string
	rebuild            bool
}

func main() {
	var o settings
	flag.StringVar(&o.addr, "addr", cmp.Or(os.Getenv("ORDERS_ADDR"), "localhost:8080"), "address to listen on")
	flag.StringVar(&o.store, "store", cmp.Or(os.Getenv("ORDERS_STORE"), "file:orders.db"), "store: file:, mem:, aws:// or azure://")
	flag.StringVar(&o.views, "views", os.Getenv("ORDERS_VIEWS"), "file of the read model (default orders-views.db, and no file for mem:)")
	flag.BoolVar(&o.rebuild, "rebuild", false, "rebuild the read model, also while orders are served, and end")
	flag.Parse()
	o.nameKey = cmp.Or(os.Getenv("ORDERS_NAME_KEY"), "for trying out") // a secret, so it is no flag
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, log)
	stop()
	if err != nil {
		log.Error("orders", "error", err)
		os.Exit(1)
	}
}

// run serves until the context ends, or rebuilds the read model.
func run(ctx context.Context, o settings, log *slog.Logger) (err error) {
	store, closeStore, err := open(ctx, o.store, &ropewalk.Options{Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if o.views == "" && o.store == "mem:" {
		o.views = inMemory
	}
	model, err := openReadModel(ctx, cmp.Or(o.views, "orders-views.db"), store, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.db.Close()) }()
	if o.rebuild {
		return model.rebuild(ctx)
	}
	return serveBoth(ctx, o.addr, newService(store, []byte(o.nameKey), log), model, log)
}

// serveBoth serves orders and the read model, and feeds the read model meanwhile.
func serveBoth(ctx context.Context, addr string, s *service, model *openOrders, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	log.Info("serving orders", "addr", listener.Addr().String())
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { model.run(ctx) })
	return serve(ctx, listener, s, model)
}

// serve answers requests until the context ends. Then it takes no new ones,
// and returns when those under way are answered and their snapshots written.
func serve(ctx context.Context, listener net.Listener, s *service, model http.Handler) error {
	server := newServer(s, model)
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
func newServer(s *service, model http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /open-orders", model)
	mux.Handle("/", s.routes())
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      shutdownTimeout, // of all; each answer has its own, shorter time
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
