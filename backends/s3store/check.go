package s3store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

// probes is the folder, below the prefix, of the objects by which Check tries
// conditional writes. No listing of changesets or heads looks there.
const probes = "ropewalk-probe/"

// Check looks for missing and dangerous things: the bucket, conditional writes
// that the server does not honour, lifecycle rules that delete objects of the
// store or move them where they cannot be read, public access; and says whether
// versioning is on, which it must be if the options demand it. It changes nothing except for one small object of its
// own under the prefix, which it removes. It needs rights to do all that;
// anything that it must not look at is a finding too. It returns an error if
// the context ended, and findings otherwise.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	bucket := s.checkBucket(ctx)
	findings := []Finding{bucket}
	if bucket.OK {
		findings = append(findings, s.checkConditions(ctx), s.checkLifecycle(ctx), s.checkPublicAccess(ctx), s.checkVersioning(ctx))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check bucket %s: %w", s.bucket, err)
	}
	return findings, nil
}

// failed is the finding that something could not be looked at.
func failed(name string, err error) Finding {
	f := Finding{Name: name, Detail: err.Error()}
	if setup, ok := errors.AsType[*finding.SetupError](err); ok {
		f.Detail, f.Hint = setup.What, setup.Hint
	}
	return f
}

// unknown is failed for a setting that not every server offers, and whose
// absence has a code.
func unknown(name string, err error) Finding {
	if notOffered(err) {
		return Finding{Name: name, OK: true, Detail: "(not offered by this server)"}
	}
	f := failed(name, err)
	f.Detail = "not known: " + f.Detail
	return f
}

func (s *Store) checkBucket(ctx context.Context) Finding {
	name := "bucket " + s.bucket
	err := s.findBucket(ctx)
	switch {
	case awscall.Code(err) == codeNoBucket:
		return Finding{Name: name, Detail: "does not exist", Hint: "create it with ropewalk init, or check its name"}
	case err != nil:
		return failed(name, err)
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// findBucket returns an error if the bucket cannot be listed. The reply to a
// HeadBucket, which needs the same right, has no body that says why.
func (s *Store) findBucket(ctx context.Context) error {
	_, err := do(ctx, s, s.client.ListObjectsV2, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.options.Prefix, MaxKeys: aws.Int32(1)})
	return err
}

// checkConditions tries the conditions that the store relies on, with an ETag
// that it has read: a proxy that changes or removes ETags is found so.
func (s *Store) checkConditions(ctx context.Context) Finding {
	const name = "conditional writes"
	probe := probes + changeset.NewID().String()
	f := s.tryConditions(ctx, probe)
	err := s.remove(ctx, probe)
	switch {
	case !f.OK:
		f.Name = name
		return f
	case err != nil:
		return Finding{Name: name, OK: true, Detail: "ok, but the probe " + s.locate(probe) + " could not be removed"}
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

func (s *Store) tryConditions(ctx context.Context, probe string) Finding {
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(probe), IfNoneMatch: aws.String("*")}
	_, err := do(ctx, s, s.put([]byte("1")), in)
	if err != nil && awscall.Code(err) != codePrecondition { // which a repetition by the SDK may have met
		return failed("", err)
	}
	if f := refused(s.attempt(ctx, in, "2"), "If-None-Match", "do not use this server: it would overwrite changesets"); !f.OK {
		return f
	}
	etag, err := s.probeTag(ctx, probe)
	if err != nil {
		return failed("", err)
	}
	in.IfNoneMatch, in.IfMatch = nil, &etag
	err = s.attempt(ctx, in, "3")
	if awscall.Code(err) == codePrecondition {
		err = changesTags("S3 does not know the ETag that it returned, "+etag, err)
	}
	if err != nil {
		return failed("", err)
	}
	return refused(s.attempt(ctx, in, "4"), "If-Match", "keep the heads elsewhere: this server would lose appends")
}

// refused judges a write whose condition must fail.
func refused(err error, condition, hint string) Finding {
	switch {
	case err == nil:
		return Finding{Detail: condition + " is not honoured", Hint: hint}
	case awscall.Code(err) != codePrecondition:
		return failed("", err)
	}
	return Finding{OK: true}
}

// attempt writes once: a repetition would meet the object that the first wrote.
func (s *Store) attempt(ctx context.Context, in *s3.PutObjectInput, body string) error {
	_, _, err := awscall.Once(ctx, s.calls, s.put([]byte(body)), in)
	return err
}

// probeTag reads the object's ETag as Load does.
func (s *Store) probeTag(ctx context.Context, name string) (string, error) {
	out, err := do(ctx, s, s.client.GetObject, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	if aws.ToString(out.ETag) == "" {
		return "", changesTags("the reply of S3 has no ETag", nil)
	}
	return *out.ETag, nil
}

func (s *Store) checkLifecycle(ctx context.Context) Finding {
	const name = "no expiry rule"
	out, err := do(ctx, s, s.client.GetBucketLifecycleConfiguration, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.bucket})
	switch {
	case awscall.Code(err) == "NoSuchLifecycleConfiguration":
		return Finding{Name: name, OK: true}
	case err != nil:
		return unknown(name, err)
	}
	if len(out.Rules) == 0 {
		return unknown(name, awscall.Foreign("S3", errors.New("the reply has no rules")))
	}
	for _, rule := range out.Rules {
		if harm := s.harm(rule); harm != "" {
			return Finding{
				Name: name, Detail: fmt.Sprintf("rule %q %s", aws.ToString(rule.ID), harm),
				Hint: "restrict the rule to other prefixes, or remove it",
			}
		}
	}
	return Finding{Name: name, OK: true}
}

// harm says how a lifecycle rule harms objects of this store. It returns "" if
// the rule leaves them readable.
func (s *Store) harm(rule types.LifecycleRule) string {
	if rule.Status == types.ExpirationStatusDisabled || !s.covered(rule) {
		return ""
	}
	if e := rule.Expiration; e != nil && (e.Days != nil || e.Date != nil) {
		return "deletes objects of this store"
	}
	for _, t := range rule.Transitions {
		if c := t.StorageClass; c == types.TransitionStorageClassGlacier || c == types.TransitionStorageClassDeepArchive {
			return fmt.Sprintf("moves objects of this store to %s, where they cannot be read", c)
		}
	}
	return ""
}

// covered reports whether the rule's filter can match an object of this store.
// They have no tags.
func (s *Store) covered(rule types.LifecycleRule) bool {
	//lint:ignore SA1019 rules of the first version have their prefix here
	prefix := aws.ToString(rule.Prefix)
	if f := rule.Filter; f != nil {
		if f.Tag != nil || f.And != nil && len(f.And.Tags) > 0 {
			return false
		}
		if f.And != nil {
			f = &types.LifecycleRuleFilter{Prefix: f.And.Prefix}
		}
		prefix += aws.ToString(f.Prefix)
	}
	for _, folder := range []string{changeset.Folder, head.Folder} {
		ours := *s.key(folder)
		if strings.HasPrefix(ours, prefix) || strings.HasPrefix(prefix, ours) {
			return true
		}
	}
	return false
}

func (s *Store) checkPublicAccess(ctx context.Context) Finding {
	const name, hint = "public access", "block it with ropewalk init"
	out, err := do(ctx, s, s.client.GetPublicAccessBlock, &s3.GetPublicAccessBlockInput{Bucket: &s.bucket})
	switch {
	case awscall.Code(err) == "NoSuchPublicAccessBlockConfiguration":
		return Finding{Name: name, Detail: "not blocked", Hint: hint}
	case err != nil:
		return unknown(name, err)
	}
	c := out.PublicAccessBlockConfiguration
	if c == nil {
		return failed(name, awscall.Foreign("S3", errors.New("the reply has no configuration")))
	}
	for _, blocked := range []*bool{c.BlockPublicAcls, c.BlockPublicPolicy, c.IgnorePublicAcls, c.RestrictPublicBuckets} {
		if !aws.ToBool(blocked) {
			return Finding{Name: name, Detail: "not blocked in all four ways", Hint: hint}
		}
	}
	return Finding{Name: name, OK: true, Detail: "blocked"}
}

func (s *Store) checkVersioning(ctx context.Context) Finding {
	const name = "versioning"
	out, err := do(ctx, s, s.client.GetBucketVersioning, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	switch {
	case err != nil:
		return unknown(name, err)
	case out.Status == types.BucketVersioningStatusEnabled:
		return Finding{Name: name, OK: true, Detail: "on"}
	case s.options.Versioning:
		return Finding{Name: name, Detail: "off", Hint: "run ropewalk init again, which switches it on: the heads of packed chains have contents"}
	}
	return Finding{Name: name, OK: true, Detail: "off"}
}
