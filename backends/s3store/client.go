package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk/internal/awscall"
	"ropewalk/internal/transport"
)

// newClient returns what makes the store's calls.
func (s *Store) newClient() *awscall.Client[s3.Options] {
	o := s.client.Options()
	return &awscall.Client[s3.Options]{
		Service: "S3", Region: o.Region, HTTP: awscall.HTTP(o.HTTPClient), Log: s.log, Again: again,
		Guard: guard, Foreign: foreign, Explain: s.explain, Set: set,
	}
}

func set(o *s3.Options, settings awscall.Settings) {
	o.HTTPClient = settings.HTTP
	o.APIOptions = append(o.APIOptions, settings.Watch)
	if settings.Retryer != nil {
		o.Retryer = settings.Retryer
	}
}

// guard refuses a write without its condition: servers ignore an empty
// condition, and would overwrite the object.
func guard(in any) error {
	empty := func(condition *string) bool { return condition != nil && *condition == "" }
	switch in := in.(type) {
	case *s3.PutObjectInput:
		if aws.ToString(in.IfMatch) == "" && aws.ToString(in.IfNoneMatch) == "" || empty(in.IfMatch) || empty(in.IfNoneMatch) {
			return errors.New("s3store: a write without a condition is never sent")
		}
	case *s3.GetObjectInput:
		if empty(in.IfMatch) || empty(in.IfNoneMatch) {
			return errors.New("s3store: an empty condition is never sent")
		}
	}
	return nil
}

// foreign names the part that a reply from elsewhere lacks. S3 and the
// servers compatible with it send headers of their own with every reply, or an
// ETag with an object, or an error or a listing in their own XML.
func foreign(operation string, reply *http.Response) string {
	own := awscall.HasHeader(reply.Header, "X-Amz-")
	failed := reply.StatusCode >= http.StatusMultipleChoices && reply.StatusCode != http.StatusNotModified
	tagged := reply.Header.Get("ETag") != "" && !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/html")
	switch {
	case failed && (own || awscall.RootElement(reply) == "Error"):
		return ""
	case !failed && operation == "ListObjectsV2":
		if awscall.RootElement(reply) == "ListBucketResult" {
			return ""
		}
		return awscall.Describe(reply) + ", no listing"
	case !failed && (own || tagged):
		return ""
	}
	return awscall.Describe(reply) + ", no request ID"
}

// do calls an operation that may be repeated.
func do[In, Out any](ctx context.Context, s *Store, op awscall.Operation[In, Out, s3.Options], in *In) (*Out, error) {
	return awscall.Do(ctx, s.calls, op, in)
}

// stream is do for a reply whose body the caller reads, and bounds.
func stream[In, Out any](ctx context.Context, s *Store, op awscall.Operation[In, Out, s3.Options], in *In) (*Out, error) {
	return do(transport.WithLimit(ctx, -1), s, op, in)
}

// put is PutObject with a body that is read from its beginning at each call.
// A reply without an ETag does not say that the object is stored.
func (s *Store) put(body []byte) awscall.Operation[s3.PutObjectInput, s3.PutObjectOutput, s3.Options] {
	return func(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
		in.Body = bytes.NewReader(body)
		out, err := s.client.PutObject(ctx, in, opts...)
		if err == nil && aws.ToString(out.ETag) == "" {
			return nil, errNoETag
		}
		return out, err
	}
}

// errNoETag is the error of a reply without the ETag that S3 always sends.
var errNoETag = errors.New("the reply has no ETag")

// changesTags returns the error of a reply whose ETag was changed or removed
// between S3 and here.
func changesTags(what string, err error) error {
	return &SetupError{
		What: what,
		Hint: "something between here and S3 changes or removes ETags, such as a proxy that compresses: switch that off, and run ropewalk init --check", Err: err,
	}
}

// noConditions returns the error of a server without conditional writes.
func noConditions(err error) error {
	return &SetupError{
		What: "this server does not offer conditional writes",
		Hint: "use another server: ropewalk init --check says whether a server can be used", Err: err,
	}
}

// misplaced names the region that the bucket is in, if S3 has named it.
func (s *Store) misplaced(err error, region string) error {
	hint := "configure the client with the bucket's own region"
	if region != "" {
		hint += ", " + region
	}
	return &SetupError{What: fmt.Sprintf("bucket %s is not in region %q", s.bucket, s.region()), Hint: hint, Err: err}
}

func (s *Store) region() string { return s.calls.Region }
