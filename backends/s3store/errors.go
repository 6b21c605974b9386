package s3store

import (
	"errors"
	"fmt"
	"net/http"

	"ropewalk/changeset"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

// Error codes of S3 that mean something to this package. The answer to a HEAD
// has no body and thus no code: the SDK makes one of its status.
const (
	codePrecondition = "PreconditionFailed"
	codeNoKey        = "NoSuchKey"
	codeNoBucket     = "NoSuchBucket"
	codeNotFound     = "NotFound"
)

// again are the codes with which S3 asks to repeat a request, beyond the SDK's
// own repetitions: it is throttled, or another request is under way that it
// cannot be ordered with.
var again = map[string]bool{
	"ConditionalRequestConflict": true, "OperationAborted": true, "SlowDown": true,
	"RequestLimitExceeded": true, "Throttling": true, "ThrottlingException": true, "TooManyRequests": true,
}

// wrongRegion are the codes by which S3 says that the bucket is elsewhere.
var wrongRegion = map[string]bool{
	"PermanentRedirect": true, "TemporaryRedirect": true, "AuthorizationHeaderMalformed": true,
	"IncorrectEndpoint": true, "IllegalLocationConstraintException": true, "MovedPermanently": true,
}

// refusals are the codes by which S3 refuses a conditional PutObject before it
// takes effect. RequestTimeout and IncompleteBody are not among them, although
// their statuses are 400: they speak of a connection that broke.
var refusals = awscall.Refusals{
	"ConditionalRequestConflict": true, "OperationAborted": true, "SlowDown": true,
	"RequestLimitExceeded": true, "Throttling": true, "ThrottlingException": true, "TooManyRequests": true,

	codeNoBucket: false, "PermanentRedirect": false, "TemporaryRedirect": false, "IncorrectEndpoint": false,
	"AuthorizationHeaderMalformed": false, "InvalidAccessPoint": false, "MethodNotAllowed": false,
	"BadDigest": false, "InvalidDigest": false, "XAmzContentSHA256Mismatch": false, "XAmzContentChecksumMismatch": false,
	"EntityTooLarge": false, "InvalidArgument": false, "InvalidBucketName": false, "InvalidBucketState": false,
	"InvalidEncryptionAlgorithmError": false, "InvalidPayer": false, "InvalidRequest": false, "InvalidStorageClass": false,
	"InvalidURI": false, "KeyTooLongError": false, "MetadataTooLarge": false, "MissingContentLength": false,
	"KMS.DisabledException": false, "KMS.InvalidKeyUsageException": false, "KMS.KMSInvalidStateException": false, "KMS.NotFoundException": false,
}

// explain returns an error of the SDK with what people should do about it,
// where that is known.
func (s *Store) explain(call *awscall.Call, err error) error {
	code := awscall.Code(err)
	_, header := awscall.Response(err)
	region := header.Get("x-amz-bucket-region")
	switch {
	case errors.Is(err, errNoETag):
		return changesTags("the reply of S3 has no ETag", nil)
	case call.NotOffered("PutObject", err):
		return noConditions(err)
	case code == codeNoBucket:
		return &finding.SetupError{What: fmt.Sprintf("bucket %s does not exist", s.bucket), Hint: "create it with ropewalk init, or check its name", Err: err}
	case code == "InvalidBucketName":
		return &finding.SetupError{What: fmt.Sprintf("%q is not the name of a bucket", s.bucket), Hint: "check the name", Err: err}
	case wrongRegion[code] || code == "BadRequest" && region != "" && region != s.region():
		return s.misplaced(err, region)
	case code == "InvalidObjectState":
		return archived(err)
	}
	return call.Setup(err)
}

// archived returns the error of an object that a rule for the lifecycle has moved.
func archived(err error) error {
	return &finding.SetupError{
		What: changeset.ErrArchived.Error(), Kind: changeset.ErrArchived, Err: err,
		Hint: "restore it with aws s3api restore-object, wait until it is restored, and try again; see \"Colder tiers\" in docs/analytics.md",
	}
}

// notOffered reports whether an S3-compatible server says that it lacks the
// operation; a reply that is not its own does not say so.
func notOffered(err error) bool {
	status, _ := awscall.Response(err)
	return !isSetup(err) && (status == http.StatusNotImplemented || status == http.StatusMethodNotAllowed || awscall.Code(err) == "NotImplemented")
}
