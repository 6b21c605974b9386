// Package redact removes secrets from text that people are to read: passwords,
// keys and signatures in the URL of a store, in the variables of the
// environment, and in the messages of clients that repeat what they were given.
package redact

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mark stands where a secret was.
const Mark = "REDACTED"

// parameters are the parameters of store URLs that hold no secret.
var parameters = []string{"region", "table", "path-style", "changesets", "heads", "format", "tip"}

// URL returns the URL of a store, however mistyped, without secrets: without
// its user, and without the value of any parameter except those that a store
// has.
func URL(rawURL string) string {
	rest, fragment, hasFragment := strings.Cut(rawURL, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	out := withoutUser(rest)
	if hasQuery {
		values := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
		for i, pair := range values {
			values[i] = parameter(pair)
		}
		out += "?" + strings.Join(values, "&")
	}
	if hasFragment && fragment != "" {
		out += "#" + Mark
	}
	return Text(out)
}

// withoutUser removes all that may be the user of a URL. The password may hold
// a slash or an @ that should have been escaped.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 || strings.HasPrefix(rest, "/") {
		return s
	}
	if before := rest[:at]; strings.Contains(before, "/") && !strings.Contains(before, ":") {
		return s // a path with an @
	}
	return scheme + "://" + Mark + "@" + rest[at+1:]
}

func parameter(pair string) string {
	name, value, hasValue := strings.Cut(pair, "=")
	switch {
	case name == "endpoint":
		plain, err := url.QueryUnescape(value)
		if err == nil && !strings.Contains(plain, "?") && URL(plain) == plain {
			return pair
		}
		if clean := URL(plain); err == nil && strings.Contains(clean, "://") {
			return name + "=" + clean
		}
	case slices.Contains(parameters, name):
		return pair
	case !hasValue && !strings.Contains(pair, "%"):
		return pair
	case !hasValue:
		return Mark
	}
	return name + "=" + Mark
}

// patterns match secrets in any text; what their first group matches stays.
var patterns = []*regexp.Regexp{
	// the user of a URL
	regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s"'@]+@`),
	// parameters of URLs, and parts of connection strings
	regexp.MustCompile(`(?i)(\bSharedAccessSignature=)[^;\s"']+`),
	regexp.MustCompile(`(?i)(\b(?:sig|signature|se?cret|passw(?:or)?d|pwd|token|credential|(?:account|shared[-_]?access|secret|api|secret[-_]access|access)[-_]?key(?:[-_]?id)?|client[-_]secret|x-amz-(?:signature|credential|security-token)|(?:session|security|access|auth|refresh|id)[-_]?token)(?:=|%3[dD]))[^&;\s"'\\]+`),
	// headers
	regexp.MustCompile(`(?i)(\b(?:Bearer|SharedKey(?:Lite)?)\s+)[^\s"',;]+`),
}

// Text returns text without what looks like a secret.
func Text(text string) string {
	for _, p := range patterns {
		text = p.ReplaceAllStringFunc(text, func(match string) string {
			kept := p.FindStringSubmatch(match)[1]
			if strings.HasSuffix(match, "@") {
				return kept + Mark + "@"
			}
			return kept + Mark
		})
	}
	return text
}

// variables hold secrets. A connection string holds one in each of its parts
// that is named below.
var (
	variables       = []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD"}
	connection      = "AZURE_STORAGE_CONNECTION_STRING"
	connectionParts = []string{"AccountKey", "SharedAccessSignature"}
)

// leastSecret is how long a value must be to be removed wherever it stands.
const leastSecret = 6

// Redactor removes the secrets of one run, wherever they stand, and what looks
// like one.
type Redactor struct{ known *strings.Replacer }

// New returns a redactor for a run on the store with this URL and in this
// environment.
func New(rawURL string, env map[string]string) *Redactor {
	var pairs []string
	add := func(secret, instead string) {
		quoted := strconv.Quote(secret)
		for _, form := range []string{secret, quoted[1 : len(quoted)-1], url.QueryEscape(secret)} {
			pairs = append(pairs, form, instead)
		}
	}
	if clean := URL(rawURL); clean != rawURL && rawURL != "" {
		add(rawURL, clean)
	}
	for _, secret := range secrets(rawURL, env) {
		if len(secret) >= leastSecret {
			add(secret, Mark)
		}
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// secrets returns the values of secrets in a URL that parses, and in the environment.
func secrets(rawURL string, env map[string]string) []string {
	all := urlSecrets(rawURL)
	for _, name := range variables {
		all = append(all, env[name])
	}
	for part := range strings.SplitSeq(env[connection], ";") {
		name, value, _ := strings.Cut(part, "=")
		if slices.ContainsFunc(connectionParts, func(known string) bool { return strings.EqualFold(known, strings.TrimSpace(name)) }) {
			all = append(all, value)
		}
	}
	return all
}

func urlSecrets(rawURL string) (all []string) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil
	}
	if password, ok := u.User.Password(); ok {
		all = append(all, password)
	}
	for name, values := range u.Query() {
		switch {
		case name == "endpoint":
			for _, value := range values {
				all = append(all, urlSecrets(value)...)
			}
		case !slices.Contains(parameters, name):
			all = append(all, values...)
		}
	}
	return all
}

// Text returns text without the run's secrets.
func (r *Redactor) Text(text string) string { return Text(r.known.Replace(text)) }
