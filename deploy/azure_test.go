package deploy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/internal/policy"
)

const (
	groupID   = "/subscriptions/1/resourceGroups/acme"
	accountID = groupID + "/providers/Microsoft.Storage/storageAccounts/acmeorders"
)

// loadAzure reads the module as it is for the account acmeorders, and some
// more variables.
func loadAzure(t *testing.T, more values) module {
	t.Helper()
	variables := values{"account": "acmeorders", "resource_group": "acme", "location": "westeurope"}
	for name, value := range more {
		variables[name] = value
	}
	containers := values{}
	for _, name := range []string{"changesets", "heads"} {
		containers[name] = values{"name": "acme-" + name}
	}
	roles := values{}
	for key := range policy.Definitions() {
		roles[key] = values{"role_definition_resource_id": "ID of " + key}
	}
	return load(t, "azure", variables, values{
		"azurerm_storage_account":   values{"store": values{"id": accountID, "name": "acmeorders"}},
		"azurerm_storage_container": containers,
		"azurerm_role_definition":   values{"role": roles},
		"data":                      values{"azurerm_resource_group": values{"store": values{"id": groupID}}},
	})
}

func TestAzureAccount(t *testing.T) {
	m := loadAzure(t, nil)
	account := m.block("resource", "azurerm_storage_account", "store")
	m.requireAttributes(account, values{
		"name": "acmeorders", "resource_group_name": "acme", "location": "westeurope", "tags": values{},
		"account_kind": "StorageV2", "account_tier": "Standard", "account_replication_type": "ZRS", "is_hns_enabled": false,
		"https_traffic_only_enabled": true, "min_tls_version": "TLS1_2",
		"allow_nested_items_to_be_public": false, "shared_access_key_enabled": false,
	})
	for _, kept := range []string{"delete_retention_policy", "container_delete_retention_policy"} {
		m.requireAttributes(m.within(account, "blob_properties", kept), values{"days": 7})
	}
	requireValidation(t, loadAzure, "soft_delete_days", []any{1, 7, 365}, []any{0, -1, 366})
	requireValidation(t, loadAzure, "replication", []any{"LRS", "ZRS", "GRS", "GZRS"}, []any{"RAGRS", "RAGZRS", ""})
	requireValidation(t, loadAzure, "prefix", goodPrefixes, badPrefixes)
}

// The containers have the names that the library takes by default.
func TestAzureContainers(t *testing.T) {
	m := loadAzure(t, nil)
	for name, container := range map[string]string{
		"changesets": azurestore.DefaultChangesetsContainer,
		"heads":      azurestore.DefaultHeadsContainer,
	} {
		m.requireAttributes(m.block("resource", "azurerm_storage_container", name),
			values{"name": container, "storage_account_id": accountID, "container_access_type": "private"})
	}
}

// Only changesets move, only to tiers that can be read at once, and nothing
// is deleted.
func TestAzureLifecycle(t *testing.T) {
	m := loadAzure(t, values{"prefix": "blue/"})
	rule := m.within(m.block("resource", "azurerm_storage_management_policy", "store"), "rule")
	m.requireAttributes(rule, values{"name": "colderchangesets", "enabled": true})
	m.requireAttributes(m.within(rule, "filters"), values{
		"prefix_match": []any{"acme-changesets/blue/" + changeset.Folder}, "blob_types": []any{"blockBlob"},
	})
	m.requireAttributes(m.within(rule, "actions", "base_blob"), values{
		"tier_to_cool_after_days_since_modification_greater_than": 90,
		"tier_to_cold_after_days_since_modification_greater_than": 365,
	})
	require.Len(t, m.within(rule, "actions").Body.Blocks, 1)
	everywhere(m.blocks, func(b *hclsyntax.Block) {
		for name := range b.Body.Attributes {
			require.NotContains(t, name, "archive")
			require.NotContains(t, name, "delete_after")
		}
	})
}

// Both modules take the roles from one file, which holds what the code does.
func TestAzureRolesAreThoseOfTheCode(t *testing.T) {
	want, err := policy.DefinitionsJSON()
	require.NoError(t, err)
	got, err := os.ReadFile("azure/roles.json")
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// The module makes the custom roles that the command prints.
func TestAzureRoleDefinitions(t *testing.T) {
	m := loadAzure(t, nil)
	b := m.block("resource", "azurerm_role_definition", "role")
	roles := m.value(b, "for_each").AsValueMap()
	require.Len(t, roles, len(policy.Definitions()))
	for _, r := range policy.Roles {
		for _, want := range (policy.Azure{Account: "acmeorders"}).Assignments(r) {
			key, role := roleNamed(t, roles, want.Definition.Name)
			require.Equal(t, want.Definition.Name, m.value(b, "name", key, role).AsString())
			require.Equal(t, want.Definition.Description, m.value(b, "description", key, role).AsString())
			require.Equal(t, groupID, m.value(b, "scope", key, role).AsString())
			require.Equal(t, []any{groupID}, fromCty(m.value(b, "assignable_scopes", key, role)))
			permissions := m.within(b, "permissions")
			require.Equal(t, anys(want.Definition.Actions), fromCty(m.value(permissions, "actions", key, role)))
			require.Equal(t, anys(want.Definition.DataActions), fromCty(m.value(permissions, "data_actions", key, role)))
			require.Len(t, permissions.Body.Attributes, 2)
		}
	}
}

func roleNamed(t *testing.T, roles map[string]cty.Value, name string) (key, role cty.Value) {
	for k, r := range roles {
		if name == r.GetAttr("name").AsString()+" (acmeorders)" {
			return cty.StringVal(k), r
		}
	}
	require.Fail(t, "there is no such role", name)
	return
}

func anys(texts []string) []any {
	all := []any{}
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// Each identity has its roles at the scopes that the command prints.
func TestAzureRoleAssignments(t *testing.T) {
	m := loadAzure(t, values{
		"writers": values{"orders": "id-w"}, "readers": values{"reports": "id-r"}, "maintainers": values{"ops": "id-m"},
	})
	b := m.block("resource", "azurerm_role_assignment", "role")
	got := map[string][]string{}
	for name, a := range m.value(b, "for_each").AsValueMap() {
		attribute := func(of string) string { return m.value(b, of, cty.StringVal(name), a).AsString() }
		who := attribute("principal_id") + " has " + attribute("role_definition_id")
		got[who] = append(got[who], attribute("scope"))
	}
	const container = accountID + "/blobServices/default/containers/acme-"
	want := map[string][]string{}
	ids := map[policy.Role]string{policy.Writer: "id-w", policy.Reader: "id-r", policy.Maintainer: "id-m"}
	for key, d := range policy.Definitions() {
		for _, scope := range d.Scopes {
			id := container + string(scope)
			if scope == policy.AccountScope {
				id = accountID
			}
			want[ids[d.Role]+" has ID of "+key] = append(want[ids[d.Role]+" has ID of "+key], id)
		}
	}
	require.Len(t, got, len(want))
	for who, scopes := range want {
		require.ElementsMatch(t, scopes, got[who], who)
	}
}

func TestAzureOutputs(t *testing.T) {
	for prefix, url := range map[string]string{
		"":      "azure://acmeorders/?changesets=acme-changesets&heads=acme-heads",
		"blue/": "azure://acmeorders/blue/?changesets=acme-changesets&heads=acme-heads",
	} {
		m := loadAzure(t, values{"prefix": prefix, "packed": true})
		require.Equal(t, url+"&format=packed", m.value(m.block("output", "store_url"), "value").AsString())
		m = loadAzure(t, values{"prefix": prefix})
		require.Equal(t, url, m.value(m.block("output", "store_url"), "value").AsString())
		require.Equal(t, accountID, m.value(m.block("output", "account_id"), "value").AsString())
	}
}

func TestAzureExample(t *testing.T) {
	requireExample(t, "azure/example", map[string]string{"orders": "azure", "schedules": "azure/schedules"})
	text, err := os.ReadFile("azure/example/main.tf")
	require.NoError(t, err)
	require.True(t, strings.Contains(string(text), "storage_use_azuread = true"), "the provider must not need the keys")
}
