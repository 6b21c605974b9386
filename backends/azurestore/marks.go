package azurestore

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
)

// The headers that the service sends: with every reply, and with every success.
const (
	requestIDHeader = "x-ms-request-id"
	versionHeader   = "x-ms-version"
	errorCodeHeader = "x-ms-error-code" // with every failure
)

// foreignError says that a reply is not the service's, or was changed after the
// service sent it.
type foreignError struct {
	reason string
	err    error // may be nil
}

func (e *foreignError) Error() string { return e.reason }

func (e *foreignError) Unwrap() error { return e.err }

// NonRetriable marks the error for the SDK: another attempt does not help.
func (e *foreignError) NonRetriable() {}

// unchangedError is the reply that a blob still has the ETag that was sent.
type unchangedError struct{}

func (*unchangedError) Error() string { return "the blob is unchanged" }

// NonRetriable marks the error for the SDK: this is the answer.
func (*unchangedError) NonRetriable() {}

// checkMarks returns an error for a reply that the SDK would wrongly take for a
// success, or would read without a limit: the success of a GET is 200. A
// failure without the marks is left to the SDK's retries, and to explain.
func checkMarks(method string, reply *http.Response) error {
	encoding := reply.Header.Get("Content-Encoding")
	switch {
	case reply.StatusCode >= 300 && reply.StatusCode != http.StatusNotModified:
		return nil
	case !fromService(reply):
		return &foreignError{reason: describe(reply)}
	case reply.StatusCode == http.StatusNotModified:
		return &unchangedError{}
	case reply.Header.Get(versionHeader) == "", method == http.MethodGet && reply.StatusCode != http.StatusOK:
		return &foreignError{reason: describe(reply)}
	case encoding != "" && encoding != "identity" || reply.Uncompressed:
		return &foreignError{reason: "something on the way has compressed it"}
	}
	return nil
}

// fromService reports whether the service has sent the reply.
func fromService(reply *http.Response) bool {
	return reply != nil && reply.Header.Get(requestIDHeader) != ""
}

// describe describes a reply that came instead of the service's.
func describe(reply *http.Response) string {
	if reply == nil {
		return "there is no reply"
	}
	text := fmt.Sprintf("a reply %d", reply.StatusCode)
	if kind := reply.Header.Get("Content-Type"); kind != "" {
		text += fmt.Sprintf(" of type %q", kind)
	}
	if to, err := reply.Location(); err == nil {
		text += fmt.Sprintf(", a redirect to %q", to.Host)
	}
	for _, name := range []string{requestIDHeader, versionHeader} {
		if reply.Header.Get(name) == "" {
			text += ", without " + name
		}
	}
	return text
}

// hasCode reports whether the service has answered with one of the codes.
func hasCode(err error, codes ...bloberror.Code) bool {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && fromService(answer.RawResponse) && slices.Contains(codes, bloberror.Code(answer.ErrorCode))
}

// rootOf returns the name of a document's root element; empty if the document is not XML.
func rootOf(body []byte) string {
	decoder := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF"))))
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return ""
		}
		if element, ok := token.(xml.StartElement); ok {
			return element.Name.Local
		}
	}
}

// entityTag is how the service writes an ETag. A proxy that changes a body
// marks the ETag as weak, adds a suffix such as -gzip, or drops the quotes.
var entityTag = regexp.MustCompile(`^"[0-9A-Za-z]+"$`)

// errNoETag says that the ETag of a blob is missing from a reply.
var errNoETag = &SetupError{
	What: "the reply has no ETag: something on the way removes it",
	Hint: "make the proxy or gateway keep ETags, or connect to Azure Blob Storage directly; then try ropewalk init --check",
}

// token returns the ETag of a reply as the condition of the next swap.
func token(tag *azcore.ETag) (string, error) {
	switch {
	case tag == nil || *tag == "":
		return "", errNoETag
	case !entityTag.MatchString(string(*tag)):
		return "", changedETag(fmt.Sprintf("the reply has the ETag %q: something on the way changes ETags", *tag))
	}
	return string(*tag), nil
}

func changedETag(what string) *SetupError {
	return &SetupError{
		What: what,
		Hint: "make the proxy or gateway leave ETags as they are, or connect to Azure Blob Storage directly; then try ropewalk init --check",
	}
}
