package azurestore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"ropewalk/changeset"
	"ropewalk/internal/finding"
	"ropewalk/internal/transport"
)

// SetupError says that a request cannot succeed before the setup is changed:
// a container or the account is missing, access is denied, the endpoint cannot
// be reached.
type SetupError = finding.SetupError

// requestError says in one line what a request was for and why it failed. The
// SDK's own texts take a page, and quote headers and signatures.
type requestError struct {
	op, at string
	err    error
}

func (e *requestError) Error() string { return e.op + " " + e.at + ": " + reason(e.err) }

func (e *requestError) Unwrap() error { return e.err }

func reason(err error) string {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if ok && !fromService(answer.RawResponse) {
		return describe(answer.RawResponse)
	}
	if ok {
		return answers(answer.StatusCode, answer.ErrorCode)
	}
	if transport, ok := errors.AsType[*url.Error](err); ok {
		err = transport.Err // without the URL, which can hold a shared access signature
	}
	return err.Error()
}

func answers(status int, code string) string {
	return strings.TrimSpace(fmt.Sprintf("the service answers %d %s", status, code))
}

// explain turns the SDK's error into one that people can read and that holds
// no credentials.
func explain(op, at string, err error) error {
	if err == nil {
		return nil
	}
	if transport, ok := err.(*url.Error); ok {
		err = transport.Err // see reason; the URL must not be in the chain either
	}
	failed := &requestError{op, at, err}
	if s, ok := setup(err); ok {
		s.Err = failed
		return &s
	}
	return failed
}

// unsigned is an error of a token credential.
type unsigned interface {
	error
	NonRetriable()
}

// setup returns the setup error that an error stands for, without its cause.
func setup(err error) (SetupError, bool) {
	if ended, ok := errors.AsType[*endedError](err); ok {
		return setup(ended.failed)
	}
	lookup, unresolved := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		is[*SetupError](err), is[*unchangedError](err):
		return SetupError{}, false
	case is[*foreignError](err), errors.Is(err, transport.ErrTooLarge):
		return foreign, true
	case is[unsigned](err): // so the SDK marks the errors of token credentials
		return SetupError{What: "there is no token to sign requests with", Hint: "check the credential that the client was given"}, true
	case unresolved && lookup.IsNotFound:
		return SetupError{What: "there is no such host", Hint: "check the account's name and the endpoint: " + lookup.Name + " is not known"}, true
	case unreachable(err):
		return SetupError{What: "the account cannot be reached", Hint: "check the endpoint, the network and the proxy"}, true
	}
	return answered(err)
}

// answered is setup for an error that has a reply in its chain.
func answered(err error) (SetupError, bool) {
	reply, code := replyOf(err)
	if reply == nil {
		return SetupError{}, false
	}
	refused := reply.StatusCode == http.StatusForbidden || reply.StatusCode == http.StatusUnauthorized
	if !fromService(reply) {
		return foreign, true
	}
	if off := skew(reply); refused && off.Abs() > maxSkew {
		return wrongClock(off), true
	}
	s, ok := setups[code]
	if !ok && refused {
		return denied, code != bloberror.UnauthorizedBlobOverwrite
	}
	return s, ok
}

// replyOf returns the reply in an error's chain, which may be nil, and its code.
func replyOf(err error) (*http.Response, bloberror.Code) {
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return answer.RawResponse, bloberror.Code(answer.ErrorCode)
	}
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.reply, bloberror.Code(status.reply.Header.Get(errorCodeHeader))
	}
	return nil, ""
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// maxSkew is how far a clock may be off. The service refuses requests signed
// more than 15 minutes ago, but says so only in the text of an error.
const maxSkew = 5 * time.Minute

// skew returns how far this machine's clock is ahead of the service's.
func skew(reply *http.Response) time.Duration {
	at, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(at).Round(time.Minute)
}

func wrongClock(off time.Duration) SetupError {
	which := "ahead of"
	if off < 0 {
		which = "behind"
	}
	return SetupError{
		What: fmt.Sprintf("this machine's clock is %s %s the service's", off.Abs(), which),
		Hint: "set this machine's clock: the service refuses requests whose time is wrong",
	}
}

var (
	foreign = SetupError{
		What: "the reply is not from Azure Blob Storage",
		Hint: "check the endpoint and what answers in its place: a proxy, a gateway, a login page",
	}
	unconditional = SetupError{
		What: "the server has no conditional writes",
		Hint: "this storage cannot keep heads: use Azure Blob Storage itself; ropewalk init --check tries it",
	}
	denied = SetupError{
		What: "access is denied",
		Hint: "check the credentials, and that they may do this: the role Storage Blob Data Contributor may do all, Storage Blob Data Reader may read",
	}
	missing = SetupError{
		What: "the container does not exist",
		Hint: "create it: ropewalk init, or check the account and the container's name",
	}
	busy = SetupError{
		What: "the service is busy",
		Hint: "try again later; if it lasts, look at the account's rate of requests and at the status of Azure",
	}
	archived = SetupError{
		What: changeset.ErrArchived.Error(), Kind: changeset.ErrArchived,
		Hint: "move it to the hot tier with az storage blob set-tier, wait until it is there, and try again; see \"Colder tiers\" in docs/analytics.md",
	}
	leased = SetupError{
		What: "the blob is leased",
		Hint: "break the lease: nobody but this library may lock these blobs, and it never does",
	}
)

// setups are the error codes of the service that only a change of the setup
// ends, beside all of 401 and 403, and that the service is busy.
var setups = map[bloberror.Code]SetupError{
	bloberror.ContainerNotFound: missing,
	bloberror.ContainerBeingDeleted: {
		What: "the container is being deleted",
		Hint: "wait until it is gone, which takes a minute, and create it again",
	},
	bloberror.ContainerDisabled: {
		What: "the container is disabled",
		Hint: "ask the account's administrator",
	},
	bloberror.AccountIsDisabled: {
		What: "the account is disabled",
		Hint: "ask the subscription's administrator",
	},
	bloberror.AuthenticationFailed: {
		What: "the credentials are not accepted",
		Hint: "check the account key, the token or the shared access signature and its time, and this machine's clock",
	},
	bloberror.AuthorizationFailure: {
		What: "access is denied",
		Hint: "check the account's network rules, and that the credentials may do this",
	},
	bloberror.BlobImmutableDueToPolicy: {
		What: "the blob is immutable",
		Hint: "remove the immutability policy or the legal hold: heads must be replaceable, and orphans deletable",
	},
	bloberror.BlobArchived:                          archived,
	bloberror.BlobBeingRehydrated:                   archived,
	bloberror.ServerBusy:                            busy,
	bloberror.OperationTimedOut:                     busy,
	bloberror.LeaseIDMissing:                        leased,
	bloberror.LeaseIDMismatchWithBlobOperation:      leased,
	bloberror.LeaseIDMismatchWithContainerOperation: leased,
}

// unreachable reports whether no connection was made.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// mayPass reports whether a read that failed may succeed a little later: the
// service says that it is busy or at fault.
func mayPass(err error) bool {
	reply, _ := replyOf(err)
	return reply != nil && (reply.StatusCode >= 500 || reply.StatusCode == http.StatusTooManyRequests)
}

// exists reports whether a create-only write was refused because the blob is
// there. Credentials that may create but not replace blobs get another code.
func exists(err error) bool {
	return hasCode(err, bloberror.BlobAlreadyExists, bloberror.UnauthorizedBlobOverwrite) || stale(err)
}

// stale reports whether the condition of a write did not hold.
func stale(err error) bool {
	return hasCode(err, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet)
}
