// Package storeurl reads the URLs that name stores in a cloud, for the command and
// for the example services.
package storeurl

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// URL is the URL of a store: SCHEME://HOST/PREFIX?PARAMETERS.
type URL struct {
	// Scheme and Host are as given.
	Scheme, Host string
	// Prefix is the path as backends want it: empty, or ending in a slash.
	Prefix string
	// Parameters has one value for each name.
	Parameters map[string]string
}

// UnknownError says that a URL has a parameter that the store does not have.
type UnknownError struct {
	URL, Parameter string
	Known          []string
}

// Error names the parameter.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("store %q: parameter %q is not known", e.URL, e.Parameter)
}

// Parse reads a URL. It returns an [*UnknownError] for a parameter that is not
// known, and an error for a repeated parameter and for each part of a URL that a
// store has no use for.
func Parse(rawURL string, known ...string) (URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return URL{}, fmt.Errorf("store %q is not a URL", rawURL)
	}
	if u.Opaque != "" || u.User != nil || u.Port() != "" || u.Fragment != "" {
		return URL{}, fmt.Errorf("store %q: want %s://NAME/PREFIX?PARAMETER=VALUE", u.Redacted(), u.Scheme)
	}
	parsed := URL{Scheme: u.Scheme, Host: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if parsed.Prefix != "" {
		parsed.Prefix += "/"
	}
	parsed.Parameters, err = parseParameters(u, known)
	return parsed, err
}

func parseParameters(u *url.URL, known []string) (map[string]string, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("store %q: the parameters cannot be read: %w", u, err)
	}
	parameters := map[string]string{}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, &UnknownError{u.String(), name, known}
		}
		if len(all) != 1 || all[0] == "" {
			return nil, fmt.Errorf("store %q: parameter %q wants one value", u, name)
		}
		parameters[name] = all[0]
	}
	return parameters, nil
}

// Endpoint returns the parameter endpoint, empty if it is missing.
func (u URL) Endpoint() (string, error) {
	text := u.Parameters["endpoint"]
	if text == "" {
		return "", nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("endpoint %q: want a URL like http://127.0.0.1:4566", text)
	}
	return text, nil
}

// Flag returns a parameter that is true or false; false if it is missing.
func (u URL) Flag(name string) (bool, error) {
	text, given := u.Parameters[name]
	if !given {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("parameter %s=%s: want true or false", name, text)
	}
	return value, nil
}
