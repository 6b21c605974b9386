//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/names"
	"ropewalk/internal/soak"
	"ropewalk/internal/testenv"
)

// writerVariable makes the test binary a writer that is to be killed: it holds
// the JSON of a writerPlace.
const writerVariable = "ROPEWALK_TEST_WRITER"

func TestMain(m *testing.M) {
	testenv.Clear()
	if place := os.Getenv(writerVariable); place != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(context.Background(), place))
		os.Exit(1)
	}
	if process := os.Getenv(modelVariable); process != "" {
		os.Exit(runModelProcess(context.Background(), process))
	}
	os.Exit(m.Run())
}

// writerPlace is where a writer appends: in a file, or in AWS.
type writerPlace struct {
	Name                            string // of its chains
	Packed                          bool   // with a tip that is moved into objects every few appends
	Claims                          bool   // of unique names, instead of appends
	File                            string
	Endpoint, Bucket, Table, Prefix string
}

func writeUntilKilled(ctx context.Context, encoded string) error {
	var place writerPlace
	if err := json.Unmarshal([]byte(encoded), &place); err != nil {
		return err
	}
	changesets, heads, err := place.open(ctx)
	if err != nil {
		return err
	}
	options := &ropewalk.Options{Packed: place.Packed, TipSize: 1200}
	if place.Claims {
		store := ropewalk.New(changesets, heads, options)
		return names.RaceUntilKilled(ctx, names.Customers{Store: store, Key: nameKey}, rand.Uint64(), os.Stdout)
	}
	return soak.WriteUntilKilled(ctx, ropewalk.New(changesets, heads, options), place.Name, os.Stdout)
}

func (p writerPlace) open(ctx context.Context) (changeset.Store, head.Store, error) {
	if p.File != "" {
		db, err := sqlitestore.Open(p.File, nil)
		return db, db, err
	}
	var options []func(*config.LoadOptions) error
	if p.Endpoint != realAccount {
		options = append(options, config.WithRegion("us-east-1"),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, err
	}
	a := &awsAccount{config: cfg, endpoint: p.Endpoint}
	objects, err := s3store.New(a.s3(), p.Bucket, &s3store.Options{Prefix: p.Prefix})
	if err != nil {
		return nil, nil, err
	}
	heads, err := dynamostore.New(a.dynamodb(), p.Table, &dynamostore.Options{Prefix: p.Prefix})
	return objects, heads, err
}

// killsPerChain is how many writers appended to the same chains before new ones begin.
const killsPerChain = 50

// TestSoakKills kills writers with SIGKILL, half of them writers of packed chains: all that
// they have acknowledged is there, and all that is there is proved.
func TestSoakKills(t *testing.T) {
	least := 24
	if *soakFull {
		least = 1000
	}
	aws := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	places := map[string]writerPlace{
		"sqlite": {File: filepath.Join(t.TempDir(), "ropewalk.db")},
		"dynamo": {Endpoint: aws.endpoint, Bucket: aws.bucket, Table: aws.table, Prefix: aws.prefix},
	}
	var mu sync.Mutex
	var all []*soak.Kills
	var group sync.WaitGroup
	for name, place := range places {
		if *soakStores != "" && !slices.Contains(strings.Split(*soakStores, ","), name) {
			continue
		}
		group.Go(func() {
			t.Run(name, func(t *testing.T) {
				k := killWriters(t, place, least)
				k.Place = name
				mu.Lock()
				defer mu.Unlock()
				all = append(all, k)
			})
		})
	}
	group.Wait()
	report(t, "Kills", soak.KillTable(all))
}

func killWriters(t *testing.T, place writerPlace, kills int) *soak.Kills {
	k := &soak.Kills{}
	began := time.Now()
	for n := range kills {
		place.Packed = n%2 == 1
		place.Name = fmt.Sprintf("killed/%d/packed=%t", n/2/killsPerChain, place.Packed)
		encoded, err := json.Marshal(place)
		require.NoError(t, err)
		writer := exec.CommandContext(t.Context(), os.Args[0])
		writer.Env = append(os.Environ(), writerVariable+"="+string(encoded))
		writer.Stderr = os.Stderr
		require.NoError(t, k.Kill(writer, 40*time.Millisecond))
	}
	changesets, heads, err := place.open(t.Context())
	require.NoError(t, err)
	require.NoError(t, k.Prove(t.Context(), soak.Place{Changesets: changesets.(soak.Changesets), Heads: heads}))
	if db, ok := heads.(*sqlitestore.Store); ok {
		require.NoError(t, db.Close())
	}
	k.Took = time.Since(began)
	require.Empty(t, k.Violations)
	require.GreaterOrEqual(t, k.Acknowledged, kills, "each was killed after its first append")
	return k
}
