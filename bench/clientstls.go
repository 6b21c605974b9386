package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"

	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
)

// newConnections makes many connections at once to a server that is a child, with and
// without keeping the sessions of TLS.
func newConnections(ctx context.Context, l *laboratory, r *report.Results) error {
	server, err := startTLS(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	n := pick(l, 500, 20)
	connect := func(kept bool) lab.Variant {
		return func(ctx context.Context) (float64, error) {
			client, err := server.client(n, kept)
			if err != nil {
				return 0, err
			}
			defer client.CloseIdleConnections()
			if err := fetch(client, server.URL); err != nil {
				return 0, err
			}
			before := lab.ProcessorTime()
			err = inParallel(ctx, n, n, func(context.Context, int) error { return fetch(client, server.URL) })
			return float64((lab.ProcessorTime() - before).Microseconds()) / float64(n), err
		}
	}
	micros, err := lab.Turns(ctx, pick(l, 9, 1), connect(false), connect(true))
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows,
		report.Row{Name: "HTTP over TLS", What: "a new connection and a request", N: n, Value: report.Of(micros[0]), Unit: "µs"},
		report.Row{Name: "HTTP over TLS, kept sessions", What: "a new connection and a request", N: n, Value: report.Of(micros[1]), Unit: "µs"}.
			Against(report.Ratios(micros[1], micros[0]), "the processor time without"))
	return nil
}

// tlsServer is a child that serves over TLS, so that its processor time is not counted.
type tlsServer struct {
	URL         string
	Certificate []byte
	command     *exec.Cmd
	stdin       io.Closer // the child ends when its standard input does
}

func startTLS(ctx context.Context) (*tlsServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &tlsServer{command: exec.CommandContext(ctx, self, childArgument, "tls")}
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(s); err != nil {
		s.stop()
		return nil, fmt.Errorf("the TLS server: %w", err)
	}
	return s, nil
}

func (s *tlsServer) stop() {
	_ = s.stdin.Close()
	_ = s.command.Wait()
}

// client returns a client of up to n connections.
func (s *tlsServer) client(n int, keepsSessions bool) (*http.Client, error) {
	certificate, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(certificate)
	if keepsSessions {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConns: n, MaxIdleConnsPerHost: n, MaxConnsPerHost: n}}, nil
}

// tlsChild serves until its standard input ends.
func tlsChild() error {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer server.Close()
	if err := json.NewEncoder(os.Stdout).Encode(tlsServer{URL: server.URL, Certificate: server.Certificate().Raw}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
