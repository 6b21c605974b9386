package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	blob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/memstore"
	"ropewalk/backends/s3store"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/storeurl"
)

// open returns the store that a URL names, and how to close it. It makes no
// request to a cloud; a missing file is created.
func open(ctx context.Context, rawURL string, options *ropewalk.Options) (*ropewalk.Store, func() error, error) {
	nothing := func() error { return nil }
	var store *ropewalk.Store
	rawURL, options, err := withLayout(rawURL, options)
	if err != nil {
		return nil, nil, err
	}
	scheme, rest, _ := strings.Cut(rawURL, ":")
	err = errors.New("want file:PATH, mem:, aws://BUCKET/PREFIX?table=TABLE&region=REGION or azure://ACCOUNT/PREFIX")
	switch scheme {
	case "file":
		db, err := sqlitestore.Open(strings.TrimPrefix(rest, "//"), nil)
		if err != nil {
			return nil, nil, err
		}
		return ropewalk.New(db, db, options), db.Close, nil
	case "mem":
		db := memstore.New()
		return ropewalk.New(db, db, options), nothing, nil
	case "aws":
		store, err = openAWS(ctx, rawURL, options)
	case "azure":
		store, err = openAzure(rawURL, options)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the store: %w", err)
	}
	return store, nothing, nil
}

// withLayout moves the parameters format and tip from the URL to the options.
func withLayout(rawURL string, options *ropewalk.Options) (string, *ropewalk.Options, error) {
	rest, layout, err := storeurl.CutLayout(rawURL)
	o := *cmp.Or(options, &ropewalk.Options{})
	o.Packed, o.TipSize = layout.Packed, layout.TipSize
	return rest, &o, err
}

// openAWS keeps changesets in S3 and heads in DynamoDB.
func openAWS(ctx context.Context, rawURL string, options *ropewalk.Options) (*ropewalk.Store, error) {
	u, err := storeurl.Parse(rawURL, "table", "region")
	if err != nil {
		return nil, err
	}
	client := awshttp.NewBuildableClient().WithDialerOptions(limitDial).WithTransportOptions(keepConnections)
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithRegion(u.Parameters["region"]))
	if err != nil {
		return nil, err
	}
	changesets, err := s3store.New(s3.NewFromConfig(cfg), u.Host, &s3store.Options{Prefix: u.Prefix})
	if err != nil {
		return nil, err
	}
	heads, err := dynamostore.New(dynamodb.NewFromConfig(cfg), u.Parameters["table"], &dynamostore.Options{Prefix: u.Prefix})
	if err != nil {
		return nil, err
	}
	return ropewalk.New(changesets, heads, options), nil
}

// openAzure keeps both in Azure Blob Storage.
func openAzure(rawURL string, options *ropewalk.Options) (*ropewalk.Store, error) {
	u, err := storeurl.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	blobs, err := azureBlobs(u.Host, &azurestore.Options{Prefix: u.Prefix, Client: azureClient()})
	if err != nil {
		return nil, err
	}
	return ropewalk.New(blobs, blobs, options), nil
}

func azureBlobs(account string, options *azurestore.Options) (*azurestore.Store, error) {
	if connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); connection != "" {
		return azurestore.NewFromConnectionString(connection, options)
	}
	if account == "" {
		return nil, errors.New("it names no account")
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return azurestore.New("https://"+account+".blob.core.windows.net/", credential, options)
}

func azureClient() blob.ClientOptions {
	var dialer net.Dialer
	limitDial(&dialer)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialer.DialContext
	keepConnections(transport)
	return blob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}}}
}

// limitDial lets an endpoint that cannot be reached fail in seconds.
func limitDial(d *net.Dialer) { d.Timeout = 3 * time.Second }

// keepConnections keeps as many as a read of a long history has use for.
func keepConnections(t *http.Transport) {
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 512, 512, 512
}
