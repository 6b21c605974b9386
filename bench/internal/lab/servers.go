package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The variables that name the programs of the servers; servers.sh sets them.
const (
	versitygwVariable = "BENCH_VERSITYGW"
	dynamodbVariable  = "BENCH_DYNAMODB"
	azuriteVariable   = "BENCH_AZURITE"
)

// Server is a process on this machine that speaks a cloud service's protocol,
// with empty storage of its own. It must be stopped.
type Server struct {
	// Name and version.
	Name    string
	url     string
	command *exec.Cmd
	ended   chan struct{}
	log     string
}

// StartS3 starts versitygw over a folder of its own below dir.
func StartS3(ctx context.Context, dir string) (*Server, error) {
	program := os.Getenv(versitygwVariable)
	if program == "" {
		return nil, missing(versitygwVariable)
	}
	data := filepath.Join(dir, "versitygw")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	return start(ctx, dir, "versitygw "+versionOf(program), func(port string) *exec.Cmd {
		return exec.Command(program, "--quiet", "--keep-alive", "--port", "127.0.0.1:"+port, "--access", "bench", "--secret", "benchbench", "posix", data)
	})
}

// StartDynamoDB starts DynamoDB Local, which keeps all in memory.
func StartDynamoDB(ctx context.Context, dir string) (*Server, error) {
	jar := os.Getenv(dynamodbVariable)
	if jar == "" {
		return nil, missing(dynamodbVariable)
	}
	libraries := filepath.Join(filepath.Dir(jar), "DynamoDBLocal_lib")
	version := "DynamoDB Local"
	if found, _ := filepath.Glob(filepath.Join(libraries, "DynamoDBLocal-*.jar")); len(found) == 1 {
		version += " " + strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "DynamoDBLocal-"), ".jar")
	}
	return start(ctx, dir, version, func(port string) *exec.Cmd {
		c := exec.Command("java", "-Xmx2g", "-Djava.library.path="+libraries, "-jar", jar, "-port", port, "-inMemory", "-sharedDb")
		c.Env = append(os.Environ(), "DDB_LOCAL_TELEMETRY=0")
		return c
	})
}

// StartAzurite starts the blob service of Azurite, which keeps all in memory.
func StartAzurite(ctx context.Context, dir string) (*Server, error) {
	program := os.Getenv(azuriteVariable)
	if program == "" {
		return nil, missing(azuriteVariable)
	}
	return start(ctx, dir, "Azurite", func(port string) *exec.Cmd {
		return exec.Command("node", program, "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence",
			"--blobHost", "127.0.0.1", "--blobPort", port)
	})
}

func missing(variable string) error {
	return fmt.Errorf("%s is not set: run it with make bench, or after eval \"$(bench/servers.sh)\"", variable)
}

func versionOf(program string) string {
	out, _ := exec.Command(program, "--version").Output()
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "Version" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// start starts a server on a free port, and waits until it answers.
func start(ctx context.Context, dir, name string, command func(port string) *exec.Cmd) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		return nil, err
	}
	s := &Server{Name: name, url: "http://127.0.0.1:" + port, command: command(port), ended: make(chan struct{})}
	s.log = filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".log")
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.command.Stdout, s.command.Stderr = log, log
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to handle
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.command.Wait(); close(s.ended) }()
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%s: %w: %s", name, err, read(s.log))
	}
	return s, nil
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return response.Body.Close()
		}
		select {
		case <-s.ended:
			return errors.New("it has ended")
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends the server. It does nothing if s is nil.
func (s *Server) Stop() {
	if s == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.command.Process.Kill()
		<-s.ended
	}
}

// S3 returns a client over the wire.
func (s *Server) S3(w *Wire) *s3.Client {
	return s3.NewFromConfig(config(w), func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &s.url, true })
}

// DynamoDB returns a client over the wire.
func (s *Server) DynamoDB(w *Wire) *dynamodb.Client {
	return dynamodb.NewFromConfig(config(w), func(o *dynamodb.Options) { o.BaseEndpoint = &s.url })
}

// Azure returns the connection string of Azurite, with the account and the published key
// that every Azurite has.
func (s *Server) Azure() string {
	const account = "devstoreaccount1"
	const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	return "DefaultEndpointsProtocol=http;AccountName=" + account + ";AccountKey=" + key + ";BlobEndpoint=" + s.url + "/" + account + ";"
}

func config(w *Wire) aws.Config {
	return aws.Config{
		Region:                     "us-east-1",
		Credentials:                credentials.NewStaticCredentialsProvider("bench", "benchbench", ""),
		HTTPClient:                 w.Client(),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
}
