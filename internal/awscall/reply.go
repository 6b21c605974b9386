package awscall

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ropewalk/internal/finding"
	"ropewalk/internal/transport"
)

// foreignError is the error of a reply that the service did not send.
type foreignError struct{ lacks string }

func (e *foreignError) Error() string { return e.lacks }

// Foreign returns the error of a reply that the service did not send, or that
// something on its way has changed beyond use.
func Foreign(service string, err error) error {
	return &finding.SetupError{
		What: "the reply is not from " + service,
		Hint: "check the endpoint, and what is between here and " + service + ": a proxy, a login page",
		Err:  err,
	}
}

// isForeign reports whether the call's last reply was not the service's.
func (c *Call) isForeign(err error) bool {
	_, foreign := errors.AsType[*foreignError](err)
	status, _ := Response(err)
	return foreign || errors.Is(err, transport.ErrTooLarge) || errors.Is(err, transport.ErrRedirected) ||
		c.lacks != "" && status >= http.StatusInternalServerError
}

// HasHeader reports whether a header's name begins with the prefix, which must
// be in the canonical form.
func HasHeader(header http.Header, prefix string) bool {
	for name := range header {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Describe names a reply by its status and its type.
func Describe(reply *http.Response) string {
	return fmt.Sprintf("status %d, type %q", reply.StatusCode, reply.Header.Get("Content-Type"))
}

// peeked is how much of a body is looked at: enough for an XML declaration and
// a root element with its namespaces.
const peeked = 1 << 10

// peek returns the beginning of a reply's body, and leaves the body whole.
func peek(reply *http.Response) []byte {
	buffered := bufio.NewReaderSize(reply.Body, peeked)
	start, _ := buffered.Peek(peeked) // the error comes again when the body is read
	reply.Body = struct {
		io.Reader
		io.Closer
	}{buffered, reply.Body}
	return start
}

// RootElement returns the name of the root element of a reply's body; "" if the
// body is not XML.
func RootElement(reply *http.Response) string {
	for tokens := xml.NewDecoder(bytes.NewReader(peek(reply))); ; {
		token, err := tokens.RawToken()
		if err != nil {
			return ""
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t.Name.Local
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return ""
			}
		}
	}
}

// IsObject reports whether a reply's body begins as a JSON object.
func IsObject(reply *http.Response) bool {
	return bytes.HasPrefix(bytes.TrimLeft(peek(reply), " \t\r\n"), []byte("{"))
}

// maxSkew is the difference of two clocks that both services tolerate.
const maxSkew = 4 * time.Minute

// skew returns by how much the clock of the service that sent an error is ahead
// of the clock here; 0 if that is not known.
func skew(err error) time.Duration {
	_, header := Response(err)
	at, failed := http.ParseTime(header.Get("Date"))
	if failed != nil || header.Get("Age") != "" {
		return 0
	}
	return time.Until(at).Round(time.Second)
}

// signature are the codes by which a service refuses a signature, or its time.
// Forbidden is all that the reply to a HEAD says.
var signature = map[string]bool{
	"RequestTimeTooSkewed": true, "RequestExpired": true, "InvalidSignatureException": true,
	"SignatureDoesNotMatch": true, "AuthFailure": true, "AccessDeniedException": true, "Forbidden": true,
}

// refusedByClock reports whether the service refused a request whose signature
// has a time that is too far from its own, and named its own.
func refusedByClock(err error) bool {
	return err != nil && signature[Code(err)] && skew(err).Abs() > maxSkew
}
