package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page names all that the modules create, what the examples need, and only
// files that exist.
func TestReadmeNamesWhatIsCreated(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	page := string(text)
	for _, folder := range []string{"aws", "aws/schedules", "azure", "azure/schedules"} {
		for _, b := range parse(t, folder).blocks {
			if b.Type == "resource" {
				require.Contains(t, page, "`"+b.Labels[0]+"`")
			}
			if b.Type == "output" && strings.HasSuffix(b.Labels[0], "_arn") {
				require.Contains(t, page, "`"+b.Labels[0]+"`")
			}
		}
	}
	for name, resource := range loadBicep(t).resources {
		if name != "blobs" { // a part of the account
			require.Contains(t, page, "`"+resource["type"]+"`")
		}
	}
	require.Contains(t, page, "`storage_use_azuread = true`")
	for _, path := range []string{"aws/example", "azure/example", "azure/main.bicep", "validate/schema.py", "../integration/deploy.sh"} {
		require.Contains(t, page, strings.TrimPrefix(path, "../"))
		_, err := os.Stat(filepath.FromSlash(path))
		require.NoError(t, err)
	}
}
