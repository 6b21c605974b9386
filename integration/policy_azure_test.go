//go:build integration

package integration_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"

	"ropewalk/internal/policy"
)

// Every role's custom roles hold what the role's work needs, and nothing else.
func TestAzureRolesAreExact(t *testing.T) {
	a := newAzure(t)
	open := container.PublicAccessTypeContainer
	_, err := a.client(t, nil).NewContainerClient(a.options.HeadsContainer).Create(t.Context(), &container.CreateOptions{Access: &open})
	require.NoError(t, err, "what was open to the public is closed by the set-up")

	wires := map[policy.Role]*azureWire{}
	as := map[policy.Role]roleStore{}
	for _, r := range policy.Roles {
		wires[r] = &azureWire{}
		s := a.store(t, wires[r].options())
		as[r] = roleStore{objects: s, heads: s, parts: []rolePart{s}}
	}
	as[policy.Maintainer].setUp(t)
	pending := as[policy.Writer].write(t)
	as[policy.Reader].read(t)
	as[policy.Maintainer].maintain(t, pending)
	as[policy.Maintainer].rebuildFirst(t, as[policy.Writer].putFirst(t))
	for _, r := range policy.Roles {
		t.Run(string(r), func(t *testing.T) { requireExactRoles(t, a, r, wires[r].requests) })
	}
}

const blobServices = "Microsoft.Storage/storageAccounts/blobServices/"

// azureActions are the actions that Azure knows the operations by. Of two
// actions, either one will do.
var azureActions = map[string][]string{
	"get account properties": {blobServices + "getInfo/action"},
	"get service properties": {blobServices + "read"},
	"put container":          {blobServices + "containers/write"},
	"get container":          {blobServices + "containers/read"},
	"get container acl":      {blobServices + "containers/getAcl/action"},
	"put container acl":      {blobServices + "containers/setAcl/action"},
	"get container list":     {blobServices + "containers/blobs/read"},
	"get blob":               {blobServices + "containers/blobs/read"},
	"head blob":              {blobServices + "containers/blobs/read"},
	"put blob that is new":   {blobServices + "containers/blobs/write", blobServices + "containers/blobs/add/action"},
	"put blob":               {blobServices + "containers/blobs/write"},
	"delete blob":            {blobServices + "containers/blobs/delete"},
}

// azureOperation names the operation that a request is.
func azureOperation(r *http.Request) string {
	q := r.URL.Query()
	of := q.Get("restype")
	if of == "" {
		of = "blob"
	}
	operation := strings.ToLower(r.Method) + " " + of
	if comp := q.Get("comp"); comp != "" {
		operation += " " + comp
	}
	if operation == "put blob" && r.Header.Get("If-None-Match") == "*" {
		operation += " that is new"
	}
	return operation
}

// scopeOf returns the part of the account that a request is for.
func (a *azureAccount) scopeOf(r *http.Request) policy.Scope {
	for _, part := range strings.Split(r.URL.Path, "/") {
		switch part {
		case a.options.ChangesetsContainer:
			return policy.ChangesetsScope
		case a.options.HeadsContainer:
			return policy.HeadsScope
		}
	}
	return policy.AccountScope
}

// azureGrant is an action that a custom role allows at a scope.
type azureGrant struct {
	definition, action string
	scope              policy.Scope
}

// azureGrants returns what the role's identities are granted.
func azureGrants(role policy.Role) (grants []azureGrant) {
	for key, d := range policy.Definitions() {
		for _, scope := range d.Scopes {
			for _, action := range slices.Concat(d.Actions, d.DataActions) {
				if d.Role == role {
					grants = append(grants, azureGrant{key, action, scope})
				}
			}
		}
	}
	return grants
}

// requireExactRoles checks that the role's definitions allow every request,
// and that some request needs each action at each scope of each of them.
func requireExactRoles(t *testing.T, a *azureAccount, role policy.Role, requests []*http.Request) {
	require.NotEmpty(t, requests)
	granted, needed := azureGrants(role), map[azureGrant]bool{}
	for _, r := range requests {
		operation, scope := azureOperation(r), a.scopeOf(r)
		require.Contains(t, azureActions, operation, "no action is known for it")
		allowed := false
		for _, g := range granted {
			if slices.Contains(azureActions[operation], g.action) && (g.scope == scope || g.scope == policy.AccountScope) {
				needed[g], allowed = true, true
			}
		}
		require.True(t, allowed, "nothing allows to %s at %s", operation, scope)
	}
	require.ElementsMatch(t, granted, slices.Collect(maps.Keys(needed)), "what is granted, and what is needed")
}
