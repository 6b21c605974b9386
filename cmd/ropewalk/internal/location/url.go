package location

import (
	"errors"
	"strings"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/storeurl"
)

// parseCloudURL reads the URL of a store in a cloud. Its errors have class
// [cliexit.Usage].
func parseCloudURL(rawURL string, known ...string) (storeurl.URL, error) {
	u, err := storeurl.Parse(rawURL, known...)
	return u, usage(err)
}

// usage gives an error of a URL the class [cliexit.Usage], and a hint.
func usage(err error) error {
	if err == nil {
		return nil
	}
	problem := cliexit.Usagef("%w", err)
	if unknown, ok := errors.AsType[*storeurl.UnknownError](err); ok {
		return cliexit.WithHint(problem, "known are: %s", strings.Join(unknown.Known, ", "))
	}
	return problem
}
