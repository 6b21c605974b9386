package location

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/finding"
	"ropewalk/internal/storeurl"
)

// awsPlace is a store in S3. With a table, the heads are in DynamoDB.
type awsLocation struct {
	bucket, prefix, table string
	region, endpoint      string // empty: the SDK decides
	pathStyle             bool
	packed                bool // the heads have contents
}

// parseAWS reads a URL, of which the layout was cut. A hint names the other parameters
// too.
func parseAWS(rawURL string, layout storeurl.Layout, others ...string) (Location, error) {
	known := append([]string{"region", "endpoint", "path-style"}, others...)
	if len(rawURL) > 3 && rawURL[:3] == "aws" {
		known = append(known, "table")
	}
	u, err := parseCloudURL(rawURL, known...)
	if err != nil {
		return nil, err
	}
	p := awsLocation{bucket: u.Host, prefix: u.Prefix, table: u.Parameters["table"], region: u.Parameters["region"], packed: layout.Packed}
	if p.endpoint, err = u.Endpoint(); err != nil {
		return nil, usage(err)
	}
	if p.pathStyle, err = u.Flag("path-style"); err != nil {
		return nil, usage(err)
	}
	if p.bucket == "" {
		return nil, cliexit.Usagef("store %q names no bucket", rawURL)
	}
	if u.Scheme == "aws" && p.table == "" {
		return nil, cliexit.WithHint(cliexit.Usagef("store %q names no table", rawURL), "add ?table=NAME for the heads, or keep them in S3 too with s3://")
	}
	return p, nil
}

// stores returns the stores of changesets and heads, which may be the same. It
// sends no request to them.
func (p awsLocation) stores(ctx context.Context) (*s3store.Store, Heads, []setUp, error) {
	cfg, err := p.config(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	objects, err := s3store.New(p.s3(cfg), p.bucket, p.bucketOptions())
	if err != nil {
		return nil, nil, nil, cliexit.Wrap(cliexit.Usage, err)
	}
	if p.table == "" {
		return objects, objects, []setUp{objects}, nil
	}
	options := p.tableOptions()
	options.Streams = dynamodbstreams.NewFromConfig(cfg) // which may have an endpoint of its own
	table, err := dynamostore.New(dynamodb.NewFromConfig(cfg), p.table, options)
	if err != nil {
		return nil, nil, nil, cliexit.Wrap(cliexit.Usage, err)
	}
	return objects, table, []setUp{objects, table}, nil
}

// bucketOptions demand versions of heads that have contents.
func (p awsLocation) bucketOptions() *s3store.Options {
	return &s3store.Options{Prefix: p.prefix, Versioning: p.packed && p.table == ""}
}

// tableOptions demand the protection of heads that have contents.
func (p awsLocation) tableOptions() *dynamostore.Options {
	return &dynamostore.Options{Prefix: p.prefix, Recovery: p.packed, Protection: p.packed}
}

// s3 returns the client of S3.
func (p awsLocation) s3(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = p.pathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

// config returns the SDK's configuration with the region and the endpoint of the
// URL, and with limits on the time of a request.
func (p awsLocation) config(ctx context.Context) (aws.Config, error) {
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
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, &finding.SetupError{What: "the AWS configuration cannot be read", Hint: "check the files and variables of the AWS SDK", Err: err}
	}
	return cfg, nil
}

func (p awsLocation) Open(ctx context.Context, _ bool) (*Opened, error) {
	objects, heads, _, err := p.stores(ctx)
	if err != nil {
		return nil, err
	}
	return &Opened{Objects: objects, Heads: heads}, nil
}

func (p awsLocation) Provision(ctx context.Context) error {
	_, _, all, err := p.stores(ctx)
	if err != nil {
		return err
	}
	return provisionAll(ctx, all)
}

func (p awsLocation) Check(ctx context.Context) ([]finding.Finding, error) {
	_, _, all, err := p.stores(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := checkAll(ctx, all)
	if err == nil && p.table == "" {
		findings = append(findings, notTogether("S3"))
	}
	return findings, err
}

// setUp creates and checks the storage of a backend.
type setUp interface {
	Provision(ctx context.Context) error
	Check(ctx context.Context) ([]finding.Finding, error)
}

func provisionAll(ctx context.Context, all []setUp) error {
	for _, s := range all {
		if err := s.Provision(ctx); err != nil {
			return err
		}
	}
	return nil
}

// notTogether is the finding that a storage of heads cannot swap several in one step.
func notTogether(storage string) finding.Finding {
	return finding.Finding{Name: "several aggregates in one commit", OK: true, Detail: "not with heads in " + storage}
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
