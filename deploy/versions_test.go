package deploy_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/stretchr/testify/require"
)

// bounded is a version constraint with a lower and an upper bound.
var bounded = regexp.MustCompile(`^(>= [\d.]+, < [\d.]+|~> [\d.]+|= ?[\d.]+)$`)

// A new major version of Terraform or of a provider is used only after a change
// of the module.
func TestVersionsAreBounded(t *testing.T) {
	found := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(folder string, entry fs.DirEntry, err error) error {
		if files, _ := filepath.Glob(filepath.Join(folder, "*.tf")); err == nil && entry.IsDir() && len(files) > 0 {
			requireBounded(t, folder, found)
		}
		return err
	}))
	require.Equal(t, map[string]bool{"terraform": true, "hashicorp/aws": true, "hashicorp/azurerm": true}, found)
}

func requireBounded(t *testing.T, folder string, found map[string]bool) {
	m := parse(t, folder)
	for _, b := range m.blocks {
		if b.Type != "terraform" {
			continue
		}
		require.Regexp(t, bounded, m.value(b, "required_version").AsString(), folder)
		found["terraform"] = true
		for name, provider := range m.within(b, "required_providers").Body.Attributes {
			value, problems := provider.Expr.Value(&hcl.EvalContext{})
			require.False(t, problems.HasErrors(), "%v", problems)
			require.Regexp(t, bounded, value.GetAttr("version").AsString(), "%s in %s", name, folder)
			found[value.GetAttr("source").AsString()] = true
		}
	}
}
