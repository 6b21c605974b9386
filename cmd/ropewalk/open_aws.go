package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/finding"
)

// awsPlace is a store in S3, with the heads in DynamoDB where it has a table.
type awsPlace struct {
	bucket, prefix, table string
	region, endpoint      string // empty where the SDK decides
	pathStyle             bool
}

func parseAWS(rawURL string) (place, error) {
	known := []string{"region", "endpoint", "path-style"}
	if len(rawURL) > 3 && rawURL[:3] == "aws" {
		known = append(known, "table")
	}
	u, err := parseCloudURL(rawURL, known...)
	if err != nil {
		return nil, err
	}
	p := awsPlace{bucket: u.host, prefix: u.prefix, table: u.parameters["table"], region: u.parameters["region"]}
	if p.endpoint, err = u.endpoint(); err != nil {
		return nil, err
	}
	if p.pathStyle, err = u.flag("path-style"); err != nil {
		return nil, err
	}
	if p.bucket == "" {
		return nil, cliexit.Usagef("store %q names no bucket", rawURL)
	}
	if u.scheme == "aws" && p.table == "" {
		return nil, cliexit.WithHint(cliexit.Usagef("store %q names no table", rawURL), "add ?table=NAME for the heads, or keep them in S3 too with s3://")
	}
	return p, nil
}

// setUp is what a backend offers to those who make a store and look after it.
type setUp interface {
	Provision(ctx context.Context) error
	Check(ctx context.Context) ([]finding.Finding, error)
}

// stores returns the backends of both seams, which may be the same. It sends
// no request to the store.
func (p awsPlace) stores(ctx context.Context) (*s3store.Store, heads, []setUp, error) {
	cfg, err := p.config(ctx)
	if err != nil {
		return nil, nil, nil, &finding.SetupError{What: "the AWS configuration cannot be read", Hint: "check the files and variables of the AWS SDK", Err: err}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = p.pathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	objects, err := s3store.New(client, p.bucket, &s3store.Options{Prefix: p.prefix})
	if err != nil {
		return nil, nil, nil, cliexit.Wrap(cliexit.Usage, err)
	}
	if p.table == "" {
		return objects, objects, []setUp{objects}, nil
	}
	table, err := dynamostore.New(dynamodb.NewFromConfig(cfg), p.table, &dynamostore.Options{Prefix: p.prefix})
	if err != nil {
		return nil, nil, nil, cliexit.Wrap(cliexit.Usage, err)
	}
	return objects, table, []setUp{objects, table}, nil
}

// config is the SDK's own, with the region and endpoint of the URL, and with
// limits on how long a request can take.
func (p awsPlace) config(ctx context.Context) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // it would write to stderr
		config.WithHTTPClient(awshttp.NewBuildableClient().WithDialerOptions(limitDial).WithTransportOptions(limitTransport)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = maxAttempts, maxPause })
		}),
	}
	if p.region != "" {
		options = append(options, config.WithRegion(p.region))
	}
	if p.endpoint != "" {
		options = append(options, config.WithBaseEndpoint(p.endpoint))
	}
	return config.LoadDefaultConfig(ctx, options...)
}

func (p awsPlace) open(ctx context.Context, _ bool) (*storageOf, error) {
	objects, heads, _, err := p.stores(ctx)
	if err != nil {
		return nil, err
	}
	return &storageOf{objects, heads, func() error { return nil }}, nil
}

func (p awsPlace) provision(ctx context.Context) error {
	_, _, all, err := p.stores(ctx)
	if err != nil {
		return err
	}
	return provisionAll(ctx, all)
}

func (p awsPlace) check(ctx context.Context) ([]finding.Finding, error) {
	_, _, all, err := p.stores(ctx)
	if err != nil {
		return nil, err
	}
	return checkAll(ctx, all)
}

func provisionAll(ctx context.Context, all []setUp) error {
	for _, s := range all {
		if err := s.Provision(ctx); err != nil {
			return err
		}
	}
	return nil
}

func checkAll(ctx context.Context, all []setUp) (findings []finding.Finding, err error) {
	for _, s := range all {
		found, err := s.Check(ctx)
		findings = append(findings, found...)
		if err != nil {
			return findings, err
		}
	}
	return findings, nil
}
