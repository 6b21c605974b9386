package deploy_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
)

// bicep is the text of a template: its resources by their names, each as the
// values of its properties by their paths, such as properties.isHnsEnabled.
// It is read by indentation, without a compiler.
type bicep struct {
	text       string
	parameters map[string]string // to what follows the name: type and default
	resources  map[string]map[string]string
}

var (
	bicepParameter = regexp.MustCompile(`(?m)^param (\w+) (.+)$`)
	bicepResource  = regexp.MustCompile(`(?ms)^resource (\w+) '([^']+)' = (.*?)^[}\]]$`)
	bicepProperty  = regexp.MustCompile(`^( *)(?:(\w+): *)?(.*)$`)
)

func loadBicep(t *testing.T) bicep {
	t.Helper()
	text, err := os.ReadFile("azure/main.bicep")
	require.NoError(t, err)
	b := bicep{text: string(text), parameters: map[string]string{}, resources: map[string]map[string]string{}}
	for _, p := range bicepParameter.FindAllStringSubmatch(b.text, -1) {
		b.parameters[p[1]] = p[2]
	}
	for _, r := range bicepResource.FindAllStringSubmatch(b.text, -1) {
		b.resources[r[1]] = bicepProperties(r[3])
		b.resources[r[1]]["type"], _, _ = strings.Cut(r[2], "@")
	}
	return b
}

// bicepProperties returns the properties of an object that is written with
// one property a line, below the indentation of those that hold it.
func bicepProperties(object string) map[string]string {
	properties, path := map[string]string{}, []string{}
	for _, line := range strings.Split(object, "\n") {
		p := bicepProperty.FindStringSubmatch(line)
		depth := len(p[1]) / 2
		path = append(path[:min(depth, len(path))], slices.Repeat([]string{""}, max(0, depth-len(path)))...)
		path = append(path, p[2])
		if p[2] != "" && p[3] != "{" && p[3] != "[" {
			properties[strings.Join(slices.DeleteFunc(slices.Clone(path), func(s string) bool { return s == "" }), ".")] = p[3]
		}
	}
	return properties
}

// has checks that a resource has these properties with these values, and no
// others.
func (b bicep) has(t *testing.T, resource string, want map[string]string) {
	t.Helper()
	require.Equal(t, want, b.resources[resource], resource)
}

func TestBicepResources(t *testing.T) {
	b := loadBicep(t)
	require.ElementsMatch(t, []string{
		"store", "blobs", "changesetsContainer", "headsContainer", "lifecycle", "definitions", "atAccount", "atChangesets", "atHeads",
	}, slices.Collect(maps.Keys(b.resources)))
	b.has(t, "store", map[string]string{
		"type": "Microsoft.Storage/storageAccounts", "name": "account", "location": "location", "tags": "tags",
		"kind": "'StorageV2'", "sku.name": "'Standard_${replication}'",
		"properties.accessTier": "'Hot'", "properties.isHnsEnabled": "false",
		"properties.supportsHttpsTrafficOnly": "true", "properties.minimumTlsVersion": "'TLS1_2'",
		"properties.allowBlobPublicAccess": "false", "properties.allowSharedKeyAccess": "sharedKeys",
	})
	b.has(t, "blobs", map[string]string{
		"type": "Microsoft.Storage/storageAccounts/blobServices", "parent": "store", "name": "'default'",
		"properties.deleteRetentionPolicy.enabled": "true", "properties.deleteRetentionPolicy.days": "softDeleteDays",
		"properties.containerDeleteRetentionPolicy.enabled": "true", "properties.containerDeleteRetentionPolicy.days": "softDeleteDays",
	})
	for resource, name := range map[string]string{"changesetsContainer": "changesets", "headsContainer": "heads"} {
		b.has(t, resource, map[string]string{
			"type": "Microsoft.Storage/storageAccounts/blobServices/containers", "parent": "blobs", "name": name, "properties.publicAccess": "'None'",
		})
	}
}

func TestBicepLifecycle(t *testing.T) {
	const rule = "properties.policy.rules."
	loadBicep(t).has(t, "lifecycle", map[string]string{
		"type": "Microsoft.Storage/storageAccounts/managementPolicies", "parent": "store", "name": "'default'", "dependsOn": "[blobs]",
		rule + "name": "'colderchangesets'", rule + "enabled": "true", rule + "type": "'Lifecycle'",
		rule + "definition.filters.prefixMatch":                                          "['${changesets}/${prefix}changesets/']",
		rule + "definition.filters.blobTypes":                                            "['blockBlob']",
		rule + "definition.actions.baseBlob.tierToCool.daysAfterModificationGreaterThan": "coolAfterDays",
		rule + "definition.actions.baseBlob.tierToCold.daysAfterModificationGreaterThan": "coldAfterDays",
	})
}

// The roles come from the file that is held against the code, and those who
// have them get them at its scopes.
func TestBicepRoles(t *testing.T) {
	b := loadBicep(t)
	require.Contains(t, b.text, "var roles = loadJsonContent('roles.json')\n")
	require.Contains(t, b.text, "for role in items(roles): {")
	definition := b.resources["definitions"]
	require.Equal(t, "guid(resourceGroup().id, account, role.key)", definition["name"])
	require.Equal(t, "'${role.value.name} (${account})'", definition["properties.roleName"])
	require.Equal(t, "role.value.actions", definition["properties.permissions.actions"])
	require.Equal(t, "role.value.dataActions", definition["properties.permissions.dataActions"])
	require.Equal(t, "[]", definition["properties.permissions.notActions"])
	for resource, scope := range map[string][2]string{
		"atAccount": {"account", "store"}, "atChangesets": {"changesets", "changesetsContainer"}, "atHeads": {"heads", "headsContainer"},
	} {
		require.Contains(t, b.text, "resource "+resource+" 'Microsoft.Authorization/roleAssignments@2022-04-01' = [\n"+
			"  for a in filter(assignments, one => one.scope == '"+scope[0]+"'): {\n    scope: "+scope[1]+"\n")
		require.Equal(t, "a.id", b.resources[resource]["properties.principalId"])
		require.Equal(t, "principalType", b.resources[resource]["properties.principalType"])
	}
	require.Equal(t, 3, strings.Count(b.text, "guid(resourceGroup().id, account, a.role)\n"), "the name of the definition")
}

// The parameters and their defaults equal the Terraform module's. The type of the
// identities is Bicep's alone, since Terraform's provider finds it out.
func TestBicepParameters(t *testing.T) {
	b := loadBicep(t)
	require.Equal(t, map[string]string{
		"account": "string", "location": "string = resourceGroup().location", "replication": "string = 'ZRS'",
		"changesets": "string = '" + azurestore.DefaultChangesetsContainer + "'", "heads": "string = '" + azurestore.DefaultHeadsContainer + "'",
		"prefix": "string = ''", "packed": "bool = false", "softDeleteDays": "int = 7", "coolAfterDays": "int = 90", "coldAfterDays": "int = 365",
		"sharedKeys": "bool = false", "writers": "string[] = []", "readers": "string[] = []", "maintainers": "string[] = []", "principalType": "string = 'ServicePrincipal'", "tags": "object = {}",
	}, b.parameters)
	require.Contains(t, b.text, "@allowed(['LRS', 'ZRS', 'GRS', 'GZRS'])\nparam replication ")
	require.Contains(t, b.text, "@minValue(1)\n@maxValue(365)\nparam softDeleteDays ", "soft delete keeps the heads, and cannot be off")
	require.Contains(t, b.text, "@allowed(['ServicePrincipal', 'User', 'Group'])\nparam principalType ")
	for name := range b.parameters {
		require.Greater(t, len(regexp.MustCompile(`\b`+name+`\b`).FindAllString(b.text, -1)), 1, "%s is not used", name)
	}
	require.Contains(t, b.text, "\noutput storeUrl string = 'azure://${account}/${prefix}?changesets=${changesets}&heads=${heads}${packed ? '&format=packed' : ''}'\n")
}

func TestBicepExample(t *testing.T) {
	text, err := os.ReadFile("azure/example/main.bicepparam")
	require.NoError(t, err)
	require.Contains(t, string(text), "using '../main.bicep'\n")
	b, given := loadBicep(t), []string{}
	for _, p := range bicepParameter.FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, b.parameters, p[1])
		given = append(given, p[1])
	}
	require.Contains(t, given, "account", "the only parameter without a default")
}

// Every bracket and quote that is opened is closed.
func TestBicepIsBalanced(t *testing.T) {
	text := regexp.MustCompile(`(?m)//.*$`).ReplaceAllString(strings.ReplaceAll(loadBicep(t).text, "://", ":"), "")
	closes := map[rune]rune{')': '(', ']': '[', '}': '{'}
	var open []rune
	for _, c := range text {
		switch {
		case strings.ContainsRune("([{", c):
			open = append(open, c)
		case closes[c] != 0:
			require.NotEmpty(t, open)
			require.Equal(t, string(closes[c]), string(open[len(open)-1]))
			open = open[:len(open)-1]
		}
	}
	require.Empty(t, open)
	require.Zero(t, strings.Count(text, "'")%2)
}
