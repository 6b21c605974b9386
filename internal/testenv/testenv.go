// Package testenv keeps the developer's environment out of the tests: the command, the example service and the SDKs read variables that developers
// are likely to have set, such as ROPEWALK_STORE and AWS_PROFILE.
package testenv

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// names are the variables that the product reads, and prefixes begin the names
// that the SDKs read.
var (
	names = []string{
		"ROPEWALK_STORE", "ROPEWALK_ACCOUNT", "ROPEWALK_BUCKET", "ROPEWALK_CHANGESETS", "ROPEWALK_HEADS", "ROPEWALK_PREFIX", "ROPEWALK_TABLE",
		"NO_COLOR", "TERM", "ORDERS_ADDR", "ORDERS_STORE", "ORDERS_VIEWS", "ORDERS_NAME_KEY", "FUNCTIONS_CUSTOMHANDLER_PORT",
		"SOURCE_DATE_EPOCH",
	}
	prefixes = []string{"AWS_", "AZURE_"}
)

// Read reports whether the product, or an SDK that it uses, reads a variable.
func Read(name string) bool {
	return slices.Contains(names, name) || slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Clear unsets every variable that the product reads. It is for TestMain: a
// test then sets the variables that it is about.
func Clear() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); Read(name) {
			_ = os.Unsetenv(name) // fails for names that no environment has
		}
	}
}

// hostile are values with which nothing works.
var hostile = []string{
	"ROPEWALK_STORE=s3://hostile/?region=nowhere", "NO_COLOR=1", "TERM=xterm-256color", "ORDERS_ADDR=nowhere", "ORDERS_STORE=nothing:", "ORDERS_VIEWS=/nowhere/views.db",
	"AWS_REGION=nowhere", "AWS_PROFILE=nobody", "AWS_CONFIG_FILE=/nonexistent", "AWS_CA_BUNDLE=/nonexistent", "AWS_ENDPOINT_URL=http://127.0.0.1:1",
	"AZURE_STORAGE_CONNECTION_STRING=nonsense", "AZURE_TOKEN_CREDENTIALS=nonsense",
}

// RunHostile runs the tests of the calling test's package that match a pattern
// once more, in an environment in which every variable that the product reads
// is wrong. The pattern must not match the calling test.
func RunHostile(t *testing.T, pattern string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", pattern, "-test.v")
	cmd.Env = append(os.Environ(), hostile...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the tests depend on the environment: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: ") {
		t.Fatalf("no test matches %s", pattern)
	}
}
