package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/backends/dynamostore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
)

var clientsExperiment = experiment{
	name: "clients", title: "The clients of the services",
	setup: `What a request costs the process that makes it, without the network: the processor time of this process alone,
while the server runs in another. *HTTP* is Go's HTTP client with a URL that was signed before, *the SDK* is the same request through
the service's client, *Ropewalk* is a backend over that client. After that, 1,000 GETs of 512 bytes with 20 ms added to each,
all keys known, against reading them as a chain; and 500 new connections over TLS at once, after a first request has made one.
*A heap to spare* is ` + "`debug.SetGCPercent(400)`" + `; *kept sessions* is a ` + "`tls.Config.ClientSessionCache`" + `.`,
	run: runClients,
}

func runClients(ctx context.Context, l *laboratory, r *report.Results) error {
	for _, part := range []func(context.Context, *laboratory, *report.Results) error{objectRequests, headRequests, blobRequests, manyGets, newConnections} {
		if err := part(ctx, l, r); err != nil {
			return err
		}
	}
	r.Limits = []string{
		"The SDK's middleware takes as long as HTTP itself: of what it adds to a GetObject, building the middleware takes 18 %, resolving the endpoint and how to sign 16 %, signing 14 %, decoding the reply 11 %, and some forty other parts take the rest, with half a thousand allocations for each request. No option of the client leaves a part out. A backend adds a few hundredths to it.",
		"A fifth of that is the garbage collector, where little else lives in the process: with a larger GOGC, or a heap that is large anyway, requests are cheaper. The command keeps 32 MiB to spare.",
		"The bare GETs take 2 trips, because that client knows all keys; the chain takes 4, which is 40 ms more. What else is between them are checks, and the processor's time for a few allocations more. A reader could only be as fast as the bare GETs if its requests took less of the processor than the SDK's, and would have to sign, repeat and check as the SDK does.",
		"S3, DynamoDB and Blob Storage speak HTTP/1.1 alone: one request at a time for each connection. As many connections as requests under way must be allowed and kept.",
	}
	return nil
}

// request is one way to make a request.
type request struct {
	name, what string
	do         func(ctx context.Context) error
}

// requests lets ways to make the same request take turns, and adds a row for each;
// the ratios are against the first way.
func requests(ctx context.Context, l *laboratory, r *report.Results, against string, ways ...request) error {
	each := pick(l, 2000, 5)
	var variants []lab.Variant
	for _, w := range ways {
		variants = append(variants, func(ctx context.Context) (float64, error) {
			before := lab.ProcessorTime()
			for range each {
				if err := w.do(ctx); err != nil {
					return 0, fmt.Errorf("%s, %s: %w", w.name, w.what, err)
				}
			}
			return float64((lab.ProcessorTime() - before).Microseconds()) / float64(each), nil
		})
	}
	micros, err := lab.Turns(ctx, pick(l, 7, 1), variants...)
	if err != nil {
		return err
	}
	for i, w := range ways {
		row := report.Row{Name: w.name, What: w.what, Value: report.Of(micros[i]), Unit: "µs"}
		if i > 0 {
			row = row.Against(report.Ratios(micros[i], micros[0]), against)
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

func objectRequests(ctx context.Context, l *laboratory, r *report.Results) error {
	b, err := l.newBucket(ctx, "clients", 0)
	if err != nil {
		return err
	}
	h, err := b.store().Chain("order").Append(ctx, head.Head{}, changeset.Draft{Content: l.content(1024)})
	if err != nil {
		return err
	}
	key := h.Ref.ObjectName()
	signed, err := s3.NewPresignClient(b.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key}, s3.WithPresignExpires(time.Hour))
	if err != nil {
		return err
	}
	client := b.wire.Client()
	return requests(ctx, l, r, "the processor time of HTTP",
		request{"HTTP", "GET an object of 1 KiB", func(context.Context) error { return fetch(client, signed.URL) }},
		request{"the SDK of S3", "GetObject", func(ctx context.Context) error { return peers.GetAll(ctx, b.client, b.name, []string{key}) }},
		request{"Ropewalk", "Get", func(ctx context.Context) error { _, err := b.far.Get(ctx, h.Ref, nil); return err }})
}

// fetch reads what a URL has.
func fetch(client *http.Client, url string) error {
	reply, err := client.Get(url)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", reply.Status)
	}
	_, err = io.ReadAll(reply.Body)
	return err
}

func headRequests(ctx context.Context, l *laboratory, r *report.Results) error {
	if err := l.startDynamoDB(ctx); err != nil {
		return err
	}
	const name = "bench-clients"
	client := l.aws.DynamoDB(lab.NewWire(0, connections))
	table, err := dynamostore.New(client, name, nil)
	if err != nil {
		return err
	}
	if err := table.Provision(ctx); err != nil {
		return err
	}
	h := longHead()
	if _, err := table.Swap(ctx, head.Head{}, h); err != nil {
		return err
	}
	item := &dynamodb.GetItemInput{
		TableName: aws.String(name), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"aggregate-id": &types.AttributeValueMemberS{Value: h.AggregateID}},
	}
	return requests(ctx, l, r, "the processor time of the SDK",
		request{"the SDK of DynamoDB", "GetItem of a head", func(ctx context.Context) error { _, err := client.GetItem(ctx, item); return err }},
		request{"Ropewalk", "Load", func(ctx context.Context) error { _, err := table.Load(ctx, h.AggregateID); return err }})
}

func blobRequests(ctx context.Context, l *laboratory, r *report.Results) error {
	server, err := lab.StartAzurite(ctx, l.dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	l.versions = append(l.versions, server.Name)
	client, err := container.NewClientFromConnectionString(server.Azure(), "changesets", nil)
	if err != nil {
		return err
	}
	store, err := azurestore.NewFromConnectionString(server.Azure(), nil)
	if err != nil {
		return err
	}
	if err := store.Provision(ctx); err != nil {
		return err
	}
	h, err := ropewalk.New(store, store, nil).Chain("order").Append(ctx, head.Head{}, changeset.Draft{Content: l.content(1024)})
	if err != nil {
		return err
	}
	blob := client.NewBlobClient(h.Ref.ObjectName())
	return requests(ctx, l, r, "the processor time of the SDK",
		request{"the SDK of Blob Storage", "DownloadStream of 1 KiB", func(ctx context.Context) error {
			reply, err := blob.DownloadStream(ctx, nil)
			if err != nil {
				return err
			}
			defer reply.Body.Close()
			_, err = io.ReadAll(reply.Body)
			return err
		}},
		request{"Ropewalk", "Get", func(ctx context.Context) error { _, err := store.Get(ctx, h.Ref, nil); return err }})
}

// manyGets reads a chain, and the same objects bare, with and without a heap to spare.
func manyGets(ctx context.Context, l *laboratory, r *report.Results) error {
	b, err := l.newBucket(ctx, "clients-many", farAway)
	if err != nil {
		return err
	}
	w := &walking{laboratory: l, bucket: b, n: pick(l, 1000, 20), id: "order"}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	spare := func(do func(context.Context) error) lab.Variant {
		return lab.Milliseconds(func(ctx context.Context) error {
			defer debug.SetGCPercent(debug.SetGCPercent(400))
			return do(ctx)
		})
	}
	ways := []lab.Variant{lab.Milliseconds(w.bare), lab.Milliseconds(w.backward), spare(w.bare), spare(w.backward)}
	if _, err := lab.Turns(ctx, 1, ways...); err != nil { // which makes the connections
		return err
	}
	times, err := lab.Turns(ctx, pick(l, 15, 1), ways...)
	if err != nil {
		return err
	}
	for i, name := range []string{"the same GETs, bare", "Ropewalk", "the same GETs, bare, a heap to spare", "Ropewalk, a heap to spare"} {
		row := report.Row{Name: name, What: "read all, 20 ms away", N: w.n, Value: report.Of(times[i]), Unit: "ms"}
		if i > 0 {
			ratio := report.Ratios(times[i], times[0])
			row = row.Against(ratio, "the time of the bare GETs")
			if i > 1 {
				row = row.Aim("1 ×", ratio.Median <= 1)
			}
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}
