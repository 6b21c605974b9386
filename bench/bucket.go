package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/backends/s3store"
	"ropewalk/bench/internal/lab"
	"ropewalk/changeset"
	"ropewalk/head"
)

// bucket is one bucket of the S3 server, near and far.
type bucket struct {
	name string
	// near reaches it without latency added, for what is not measured.
	near *s3store.Store
	// far reaches it over the wire.
	far    *s3store.Store
	client *s3.Client
	wire   *lab.Wire
}

// connections is how many connections clients keep, which is how many requests
// a read may have under way.
const connections = 4096

// newBucket makes a bucket.
func (l *laboratory) newBucket(ctx context.Context, name string, latency time.Duration) (*bucket, error) {
	if err := l.startS3(ctx); err != nil {
		return nil, err
	}
	b := &bucket{name: "bench-" + name, wire: lab.NewWire(latency, connections)}
	b.client = l.s3.S3(b.wire)
	var err error
	if b.far, err = s3store.New(b.client, b.name, nil); err != nil {
		return nil, err
	}
	if b.near, err = s3store.New(l.s3.S3(lab.NewWire(0, connections)), b.name, nil); err != nil {
		return nil, err
	}
	return b, b.near.Provision(ctx)
}

// store returns the store over the wire.
func (b *bucket) store() *ropewalk.Store { return ropewalk.New(b.far, b.far, nil) }

// seed makes a chain of n changesets, in the largest appends there are, that
// put a few changesets at a time.
func seed(ctx context.Context, chain *ropewalk.Chain, n int, content []byte) (h head.Head, err error) {
	for at := 0; at < n && err == nil; {
		drafts := make([]changeset.Draft, min(n-at, changeset.MaxPerAppend))
		for i := range drafts {
			drafts[i].Content = content
		}
		h, err = chain.Append(ctx, h, drafts...)
		at += len(drafts)
	}
	return h, err
}

// inParallel calls do for every number below n, a few at a time.
func inParallel(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
