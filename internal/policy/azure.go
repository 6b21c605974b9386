package policy

import (
	"fmt"
	"maps"
	"slices"
)

// Azure says where a store in Azure Blob Storage is.
type Azure struct {
	// Account is the storage account's name.
	Account string
	// Changesets and Heads are the names of the containers. They may be the
	// same; then nothing keeps a writer from overwriting changesets.
	Changesets, Heads string
}

// Scope is a part of a storage account.
type Scope string

// The scopes that roles are assigned at.
const (
	AccountScope    Scope = "account"
	ChangesetsScope Scope = "changesets"
	HeadsScope      Scope = "heads"
)

// Definition is a custom role of Azure that identities of one of our roles
// are given at some scopes.
type Definition struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Role        Role     `json:"role"`
	Scopes      []Scope  `json:"scopes"`
	Actions     []string `json:"actions"`
	DataActions []string `json:"dataActions"`
}

// The actions that operations of the Blob service require: see "Permissions for
// Blob service operations" in the service's REST reference. To list blobs is to
// read them.
const (
	blobService = "Microsoft.Storage/storageAccounts/blobServices/"

	serviceRead     = blobService + "read"
	serviceInfo     = blobService + "getInfo/action"
	containerRead   = blobService + "containers/read"
	containerWrite  = blobService + "containers/write"
	containerGetACL = blobService + "containers/getAcl/action"
	containerSetACL = blobService + "containers/setAcl/action"

	blobRead   = blobService + "containers/blobs/read"
	blobWrite  = blobService + "containers/blobs/write"
	blobAdd    = blobService + "containers/blobs/add/action"
	blobDelete = blobService + "containers/blobs/delete"
)

// Definitions returns the custom roles of all our roles, by their keys.
func Definitions() map[string]Definition {
	none, both := []string{}, []Scope{ChangesetsScope, HeadsScope}
	return map[string]Definition{
		"changeset-writer": {
			"Ropewalk changeset writer", "Read changesets and put new ones, without overwriting any.",
			Writer,
			[]Scope{ChangesetsScope},
			none,
			[]string{blobRead, blobAdd},
		},
		"head-writer": {
			"Ropewalk head writer", "Read, create and replace heads.",
			Writer,
			[]Scope{HeadsScope},
			none,
			[]string{blobRead, blobWrite},
		},
		"reader": {
			"Ropewalk reader", "Read and list changesets and heads.",
			Reader, both, none,
			[]string{blobRead},
		},
		"maintainer": {
			"Ropewalk maintainer", "Read and list changesets, delete orphans, and try conditional writes.",
			Maintainer,
			[]Scope{ChangesetsScope},
			none,
			[]string{blobRead, blobWrite, blobDelete},
		},
		"head-maintainer": {
			"Ropewalk head maintainer", "Read, list, create and replace heads, without deleting any.",
			Maintainer,
			[]Scope{HeadsScope},
			none,
			[]string{blobRead, blobWrite},
		},
		"set-up": {
			"Ropewalk set-up", "Create containers, end public access to them, and look at the account's settings.",
			Maintainer,
			[]Scope{AccountScope},
			[]string{serviceRead, serviceInfo, containerRead, containerWrite, containerGetACL, containerSetACL},
			none,
		},
	}
}

// DefinitionsJSON returns the text of [Definitions].
func DefinitionsJSON() (string, error) { return text(Definitions()) }

// Assignment is a custom role, in the words of "az role definition create",
// and the scopes that an identity is assigned it at.
type Assignment struct {
	Definition CustomRole `json:"definition"`
	Scopes     []string   `json:"scopes"`
}

// CustomRole is a custom role in the words of "az role definition create".
type CustomRole struct {
	Name, Description           string
	IsCustom                    bool
	Actions, NotActions         []string
	DataActions, NotDataActions []string
	AssignableScopes            []string
}

// group is the resource group of the account, which is unknown here.
const group = "/subscriptions/SUBSCRIPTION/resourceGroups/RESOURCE_GROUP"

// Assignments returns the custom roles that identities of that role are
// assigned, with SUBSCRIPTION and RESOURCE_GROUP to be filled in. Their names
// end in the account's, since they must be unique.
func (a Azure) Assignments(r Role) []Assignment {
	definitions := Definitions()
	var all []Assignment
	for _, key := range slices.Sorted(maps.Keys(definitions)) {
		d := definitions[key]
		if d.Role != r {
			continue
		}
		var scopes []string
		for _, s := range d.Scopes {
			scopes = append(scopes, a.id(s))
		}
		all = append(all, Assignment{Scopes: slices.Compact(scopes), Definition: CustomRole{
			Name: fmt.Sprintf("%s (%s)", d.Name, a.Account), Description: d.Description, IsCustom: true,
			Actions: d.Actions, DataActions: d.DataActions, NotActions: []string{}, NotDataActions: []string{},
			AssignableScopes: []string{group},
		}})
	}
	return all
}

// JSON returns the text of the role's assignments.
func (a Azure) JSON(r Role) (string, error) { return text(a.Assignments(r)) }

// id returns the resource ID of a scope.
func (a Azure) id(s Scope) string {
	account := group + "/providers/Microsoft.Storage/storageAccounts/" + a.Account
	containers := map[Scope]string{ChangesetsScope: a.Changesets, HeadsScope: a.Heads}
	if name, ok := containers[s]; ok {
		return account + "/blobServices/default/containers/" + name
	}
	return account
}
