package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// The sizes of secrets that Standard Webhooks allows, in bytes.
const (
	minSecret = 24
	maxSecret = 64
	newSecret = 32
)

// secretPrefix marks the text of a secret.
const secretPrefix = "whsec_"

// Secret is the key that a sender and a receiver share. Each receiver should have a
// secret of its own. A Secret is comparable and safe for concurrent use. It prints and
// logs as "whsec_…"; [Secret.Reveal] returns its text. The zero Secret is no secret:
// senders and verifiers reject it.
type Secret struct{ key string }

// NewSecret returns a random secret of 32 bytes.
func NewSecret() Secret {
	key := make([]byte, newSecret)
	_, _ = rand.Read(key) // it never fails
	return Secret{string(key)}
}

// ParseSecret parses the text of a secret: base64 of 24 to 64 bytes, with or without
// the prefix "whsec_". Its errors do not repeat the text.
func ParseSecret(text string) (Secret, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(text, secretPrefix))
	if err != nil {
		return Secret{}, errors.New("the secret is not base64")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, errors.New("the secret is not of 24 to 64 bytes")
	}
	return Secret{string(key)}, nil
}

// Reveal returns the text of the secret, for the receiver and for a vault.
func (s Secret) Reveal() string {
	return secretPrefix + base64.StdEncoding.EncodeToString([]byte(s.key))
}

// String hides the secret.
func (Secret) String() string { return secretPrefix + "…" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret, so that no encoder or log handler shows it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// sign returns the HMAC-SHA256 of the content that Standard Webhooks signs. The ID and
// the time have no dot, so that no other request has the same content.
func (s Secret) sign(id string, unix int64, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(s.key))
	mac.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

const maxID = 255

// validID reports whether an ID can be signed: its characters are visible ASCII
// without the dot.
func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}
