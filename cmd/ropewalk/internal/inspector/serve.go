package inspector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// grace is the time that requests may take to end once the context has ended. A
// browser that does not read could hold one for ever.
const grace = 300 * time.Millisecond

// Listen listens on a loopback address, HOST:PORT. The host is an address of this
// machine that no other machine can reach, or localhost, which is 127.0.0.1 here
// whatever the machine says; port 0 is any free port.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &AddressError{address}
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() || ip.Zone() != "" {
		return nil, &AddressError{address}
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
}

// AddressError says that other machines could reach an address, or that the text is no address.
type AddressError struct{ Address string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("%q is no loopback address with a port, such as 127.0.0.1:8080", e.Address)
}

// Serve serves a handler until the context ends, and then ends all requests, also those
// whose browser does not read. It closes the listener. It returns the context's error, or
// why it could not go on.
func Serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // what a client does wrong is no news
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(ending) != nil {
		_ = server.Close()
	}
	<-failed
	return ctx.Err()
}
