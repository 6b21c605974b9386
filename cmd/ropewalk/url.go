package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// cloudURL is the URL of a store in a cloud, taken apart.
type cloudURL struct {
	scheme, host string
	prefix       string // empty, or ending in a slash
	parameters   map[string]string
}

// parseCloudURL reads SCHEME://HOST/PREFIX?PARAMETERS. A parameter that is not
// known, or is given twice, is a failure of usage, as all its errors are.
func parseCloudURL(rawURL string, known ...string) (cloudURL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return cloudURL{}, cliexit.Usagef("store %q is not a URL", rawURL)
	}
	if u.Opaque != "" || u.User != nil || u.Port() != "" || u.Fragment != "" {
		return cloudURL{}, cliexit.Usagef("store %q: want %s://NAME/PREFIX?PARAMETER=VALUE", u.Redacted(), u.Scheme)
	}
	c := cloudURL{scheme: u.Scheme, host: u.Host, prefix: strings.Trim(u.Path, "/")}
	if c.prefix != "" {
		c.prefix += "/"
	}
	c.parameters, err = parseParameters(u, known)
	return c, err
}

func parseParameters(u *url.URL, known []string) (map[string]string, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, cliexit.Usagef("store %q: the parameters cannot be read: %w", u, err)
	}
	parameters := map[string]string{}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, cliexit.WithHint(cliexit.Usagef("store %q: parameter %q is not known", u, name), "known are: %s", strings.Join(known, ", "))
		}
		if len(all) != 1 || all[0] == "" {
			return nil, cliexit.Usagef("store %q: parameter %q wants one value", u, name)
		}
		parameters[name] = all[0]
	}
	return parameters, nil
}

// endpoint returns the parameter endpoint, empty if it is missing.
func (c cloudURL) endpoint() (string, error) {
	text := c.parameters["endpoint"]
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", cliexit.Usagef("endpoint %q: want a URL like http://127.0.0.1:4566", text)
	}
	return text, nil
}

// flag returns a parameter that is true or false, false if it is missing.
func (c cloudURL) flag(name string) (bool, error) {
	text, there := c.parameters[name]
	if !there {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, cliexit.Usagef("parameter %s=%s: want true or false", name, text)
	}
	return value, nil
}
