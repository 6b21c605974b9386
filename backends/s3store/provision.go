package s3store

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/internal/awscall"
)

// Provision makes sure that the bucket exists, in the client's region, that
// all public access to it is blocked and that it has a default encryption
// (SSE-S3, unless another is set), and switches versioning on if the options
// say so. It may be repeated, and called by many at the same time. Settings
// that an S3-compatible server does not offer are left out. It returns the
// context's error, a [*SetupError] and S3's own.
func (s *Store) Provision(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"bucket", s.provisionBucket},
		{"public access block", s.blockPublicAccess},
		{"default encryption", s.encrypt},
		{"versioning", s.version},
	}
	for i, step := range steps {
		err := step.do(ctx)
		if err != nil && (i == 0 || !notOffered(err)) {
			return fmt.Errorf("provision bucket %s: %s: %w", s.bucket, step.name, err)
		}
		s.log.DebugContext(ctx, "provisioned", "bucket", s.bucket, "what", step.name, "offered", err == nil)
	}
	return nil
}

// provisionBucket creates the bucket only if it does not exist: creating it
// again would reset its access rules in the oldest region.
func (s *Store) provisionBucket(ctx context.Context) error {
	err := s.findBucket(ctx)
	if awscall.Code(err) != codeNoBucket {
		return err
	}
	in := &s3.CreateBucketInput{Bucket: &s.bucket}
	if region := s.region(); region != "" && region != "us-east-1" { // which has no name in this place
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err = do(ctx, s, s.client.CreateBucket, in)
	switch awscall.Code(err) {
	case "BucketAlreadyOwnedByYou": // another one was faster
		return nil
	case "BucketAlreadyExists":
		return &SetupError{What: fmt.Sprintf("the name %s is taken by another account", s.bucket), Hint: "choose another name", Err: err}
	}
	return err
}

func (s *Store) blockPublicAccess(ctx context.Context) error {
	yes := aws.Bool(true)
	_, err := do(ctx, s, s.client.PutPublicAccessBlock, &s3.PutPublicAccessBlockInput{
		Bucket: &s.bucket,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
		},
	})
	return err
}

// encrypt leaves an existing default encryption, such as one by KMS, as it is.
func (s *Store) encrypt(ctx context.Context) error {
	out, err := do(ctx, s, s.client.GetBucketEncryption, &s3.GetBucketEncryptionInput{Bucket: &s.bucket})
	if err == nil && out.ServerSideEncryptionConfiguration == nil {
		return awscall.Foreign("S3", errors.New("the reply has no configuration"))
	}
	if awscall.Code(err) != "ServerSideEncryptionConfigurationNotFoundError" {
		return err
	}
	_, err = do(ctx, s, s.client.PutBucketEncryption, &s3.PutBucketEncryptionInput{
		Bucket: &s.bucket,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256},
		}}},
	})
	return err
}

func (s *Store) version(ctx context.Context) error {
	if !s.options.Versioning {
		return nil
	}
	_, err := do(ctx, s, s.client.PutBucketVersioning, &s3.PutBucketVersioningInput{
		Bucket:                  &s.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return err
}
