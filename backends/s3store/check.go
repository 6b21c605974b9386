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

// Check looks for what is missing or dangerous: the bucket, conditional writes
// that the server does not honour, lifecycle rules that delete objects of the
// store or move them where they cannot be read, public access; and says whether
// versioning is on. It changes nothing but for one small object of its own
// under the prefix, which it removes. It needs rights to do all that; what it
// must not look at is a finding as well. It returns an error where the context
// ended, and findings otherwise.
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
	var setup *finding.SetupError
	if errors.As(err, &setup) {
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
	_, err := do(ctx, s, s.client.HeadBucket, &s3.HeadBucketInput{Bucket: &s.bucket})
	switch {
	case awscall.Code(err) == codeNotFound:
		return Finding{Name: name, Detail: "does not exist", Hint: "create it with ropewalk init (Store.Provision), or check its name"}
	case err != nil:
		return failed(name, err)
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// checkConditions tries both conditions that the store lives on.
func (s *Store) checkConditions(ctx context.Context) Finding {
	const name = "conditional writes"
	probe := probes + changeset.NewID().String()
	first, onlyNew, onlyMatching := s.probe(ctx, probe)
	err := s.remove(ctx, probe)
	switch {
	case first != nil:
		return failed(name, first)
	case onlyNew == nil:
		return Finding{Name: name, Detail: "If-None-Match is not honoured", Hint: "do not use this server: it would overwrite changesets"}
	case awscall.Code(onlyNew) != codePrecondition:
		return failed(name, onlyNew)
	case onlyMatching == nil:
		return Finding{Name: name, Detail: "If-Match is not honoured", Hint: "keep the heads elsewhere: this server would lose appends"}
	case awscall.Code(onlyMatching) != codePrecondition:
		return failed(name, onlyMatching)
	case err != nil:
		return Finding{Name: name, OK: true, Detail: "ok, but the probe " + s.locate(probe) + " could not be removed"}
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// probe creates an object, and then tries to overwrite it under conditions
// that must both fail.
func (s *Store) probe(ctx context.Context, name string) (first, onlyNew, onlyMatching error) {
	write := func(body string, condition func(*s3.PutObjectInput)) error {
		in := &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(name)}
		condition(in)
		_, err := do(ctx, s, s.put([]byte(body)), in)
		return err
	}
	create := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	if first = write("1", create); awscall.Code(first) == codePrecondition {
		first = nil // the SDK met its own first attempt
	}
	if first != nil {
		return first, nil, nil
	}
	onlyNew = write("2", create)
	onlyMatching = write("3", func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"00000000000000000000000000000000"`) })
	return nil, onlyNew, onlyMatching
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

// harm says what a lifecycle rule does to objects of this store; nothing where
// it leaves them readable.
func (s *Store) harm(rule types.LifecycleRule) string {
	if rule.Status != types.ExpirationStatusEnabled || !s.covered(rule) {
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
	const name, hint = "public access", "block it with ropewalk init (Store.Provision)"
	out, err := do(ctx, s, s.client.GetPublicAccessBlock, &s3.GetPublicAccessBlockInput{Bucket: &s.bucket})
	switch {
	case awscall.Code(err) == "NoSuchPublicAccessBlockConfiguration":
		return Finding{Name: name, Detail: "not blocked", Hint: hint}
	case err != nil:
		return unknown(name, err)
	}
	c := out.PublicAccessBlockConfiguration
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
	}
	return Finding{Name: name, OK: true, Detail: "off"}
}
