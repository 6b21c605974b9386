package webhook

import (
	"cmp"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a request, as Standard Webhooks names them.
const (
	// HeaderID has the ID of the event.
	HeaderID = "Webhook-Id"
	// HeaderTimestamp has the time of the attempt, in seconds since 1970.
	HeaderTimestamp = "Webhook-Timestamp"
	// HeaderSignature has signatures, separated by spaces: each is "v1," and the base64
	// of an HMAC-SHA256.
	HeaderSignature = "Webhook-Signature"
)

// signatureVersion marks the signatures by HMAC-SHA256.
const signatureVersion = "v1,"

// The errors of [Verifier.Verify].
var (
	// ErrSignature means that a request was not signed with one of the secrets, or was
	// changed after it was signed.
	ErrSignature = errors.New("the webhook has no valid signature")
	// ErrStale means that a request was signed properly, but too long ago: it is replayed,
	// or a clock is wrong.
	ErrStale = errors.New("the webhook was not sent just now")
)

// Verifier verifies requests of a [Sender], or of any sender that signs by HMAC as
// Standard Webhooks 1.0 lays down. It is safe for concurrent use as long as its fields
// do not change.
type Verifier struct {
	// Secrets are the secrets of which one must have signed. During a rotation they are
	// the new and the old secret.
	Secrets []Secret
	// Tolerance is how far from the present the time of a request may be; 5 minutes by
	// default.
	Tolerance time.Duration
	// Now returns the present time; nil means [time.Now].
	Now func() time.Time
}

// Verify verifies the header and the whole body of a request, and returns the ID that
// was signed. Its error matches [ErrSignature] or [ErrStale].
//
// A request that is replayed within the tolerance is valid. A receiver therefore
// remembers the IDs of the events that it has handled, and also because delivery is
// at least once.
func (v Verifier) Verify(header http.Header, body []byte) (id string, err error) {
	id, unix, err := signedFields(header)
	if err != nil {
		return "", err
	}
	if !v.signed(header[HeaderSignature], id, unix, body) {
		return "", ErrSignature
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	tolerance := cmp.Or(max(v.Tolerance, 0), 5*time.Minute)
	if age := now().Sub(time.Unix(unix, 0)); age > tolerance || age < -tolerance {
		return "", fmt.Errorf("%w: its time differs from the present by %s, more than %s", ErrStale, age.Abs().Round(time.Second), tolerance)
	}
	return id, nil
}

// signedFields returns the ID and the time of a request.
func signedFields(header http.Header) (id string, unix int64, err error) {
	ids, times := header[HeaderID], header[HeaderTimestamp]
	if len(ids) != 1 || !validID(ids[0]) {
		return "", 0, fmt.Errorf("%w: the header %s is not one ID", ErrSignature, HeaderID)
	}
	if len(times) != 1 {
		return "", 0, fmt.Errorf("%w: the header %s is not one time", ErrSignature, HeaderTimestamp)
	}
	unix, err = strconv.ParseInt(times[0], 10, 64)
	if err != nil || strconv.FormatInt(unix, 10) != times[0] {
		return "", 0, fmt.Errorf("%w: the header %s is not a number of seconds", ErrSignature, HeaderTimestamp)
	}
	return ids[0], unix, nil
}

// signed reports whether one of the signatures is of one of the secrets. Signatures of
// other versions are passed over.
func (v Verifier) signed(headers []string, id string, unix int64, body []byte) bool {
	var signatures [][]byte
	for _, text := range strings.Fields(strings.Join(headers, " ")) {
		encoded, ok := strings.CutPrefix(text, signatureVersion)
		if signature, err := base64.StdEncoding.DecodeString(encoded); ok && err == nil {
			signatures = append(signatures, signature)
		}
	}
	for _, secret := range v.Secrets {
		if secret == (Secret{}) {
			continue // its HMAC has an empty key, which anybody can compute
		}
		want := secret.sign(id, unix, body)
		for _, signature := range signatures {
			if hmac.Equal(signature, want) {
				return true
			}
		}
	}
	return false
}

// signatures returns the header of the signatures with each secret.
func (s *Sender) signatures(id string, unix int64, body []byte) string {
	var all []string
	for _, secret := range s.secrets {
		all = append(all, signatureVersion+base64.StdEncoding.EncodeToString(secret.sign(id, unix, body)))
	}
	return strings.Join(all, " ")
}
