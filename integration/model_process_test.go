//go:build integration

package integration_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/s3store"
	"ropewalk/backends/sqlitestore"
	"ropewalk/feed"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

// modelVariable makes the test binary a process that is to be killed: it holds the
// JSON of a modelProcess.
const modelVariable = "ROPEWALK_TEST_MODEL"

// modelProcess is a relay, or an instance of the read model of permits whose
// connections break at some commits.
type modelProcess struct {
	Store permitStore
	Relay bool
	Model permitModel
}

// losing opens a database whose connections break at every tenth commit or so: half of
// them before the server has it, half of them after. The process cannot see which.
func losing(d database) (*sql.DB, error) {
	return sqlfaults.Open(d.Driver, d.DSN, &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if s.Kind != sqlfaults.Commit {
			return sqlfaults.Pass
		}
		switch rand.IntN(20) {
		case 0:
			return sqlfaults.Refuse
		case 1:
			return sqlfaults.Lose
		}
		return sqlfaults.Pass
	}})
}

// exitOtherVersion is the exit code of an instance whose version is no longer live.
const exitOtherVersion = 3

// runModelProcess is the life of the process. It returns the exit code.
func runModelProcess(ctx context.Context, encoded string) int {
	var p modelProcess
	err := json.Unmarshal([]byte(encoded), &p)
	if err == nil {
		err = p.run(ctx)
	}
	if errors.Is(err, projection.ErrOtherVersion) {
		return exitOtherVersion
	}
	fmt.Fprintln(os.Stderr, "a process of the read model has ended:", err)
	return 1
}

func (p modelProcess) run(ctx context.Context) error {
	f, err := p.Store.feed()
	if err != nil {
		return err
	}
	if p.Relay {
		return f.Relay(&feed.RelayOptions{ListEvery: 100 * time.Millisecond, BatchEvery: 20 * time.Millisecond}).Run(ctx)
	}
	log, err := readPermits()
	if err != nil {
		return err
	}
	db, err := losing(p.Model.database)
	if err != nil {
		return err
	}
	for { // as what supervises a process starts it again
		err = p.Model.projection(db).Run(ctx, f, p.Model.handler(log.types))
		if _, failed := errors.AsType[*projection.HandlerError](err); failed || errors.Is(err, projection.ErrOtherVersion) {
			return err
		}
	}
}

// child is a process that was started.
type child struct {
	modelProcess
	cmd   *exec.Cmd
	ended chan struct{}
}

func (p modelProcess) start(t testing.TB) *child {
	t.Helper()
	encoded, err := json.Marshal(p)
	require.NoError(t, err)
	c := &child{p, exec.CommandContext(t.Context(), os.Args[0]), make(chan struct{})}
	c.cmd.Env = append(os.Environ(), modelVariable+"="+string(encoded))
	c.cmd.Stderr = os.Stderr
	require.NoError(t, c.cmd.Start())
	go func() { _ = c.cmd.Wait(); close(c.ended) }()
	return c
}

// kill kills the process, which must be alive.
func (c *child) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	<-c.ended
	require.False(t, c.cmd.ProcessState.Exited(), "the process ended before it was killed")
}

// permitStore is where the permits are: in a file, or in a bucket, whose feed needs a
// relay.
type permitStore struct{ File, Endpoint, Bucket, Key, Secret string }

func newPermitFile(t testing.TB) permitStore {
	return permitStore{File: t.TempDir() + "/permits.db"}
}

func newPermitBucket(t testing.TB) permitStore {
	a := newOtherS3(t).provisionedBucket(t)
	keys, err := a.config.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	return permitStore{Endpoint: a.endpoint, Bucket: a.bucket, Key: keys.AccessKeyID, Secret: keys.SecretAccessKey}
}

// open opens the store. A process of its own need not close it.
func (p permitStore) open() (*ropewalk.Store, error) {
	if p.File != "" {
		db, err := sqlitestore.Open(p.File, nil)
		return ropewalk.New(db, db, nil), err
	}
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &p.Endpoint, UsePathStyle: true, Retryer: aws.RetryerV2(nil),
		Credentials: credentials.NewStaticCredentialsProvider(p.Key, p.Secret, ""),
	})
	db, err := s3store.New(client, p.Bucket, nil)
	return ropewalk.New(db, db, nil), err
}

func (p permitStore) feed() (*feed.Feed, error) {
	store, err := p.open()
	if err != nil {
		return nil, err
	}
	return feed.Open(store, &feed.Options{Poll: 20 * time.Millisecond}), nil
}
