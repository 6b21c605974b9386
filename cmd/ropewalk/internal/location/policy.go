package location

import (
	"cmp"
	"slices"

	"ropewalk/backends/azurestore"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/policy"
)

// Policy returns the role's IAM policy. The account is unknown here, so that the
// policy allows tables of this name in any account. If the URL names no region,
// it allows them in any region.
func (p awsLocation) Policy(role string) (string, error) {
	granted := policy.AWS{Bucket: policy.BucketARN(p.region, p.bucket), Prefix: p.prefix}
	if p.table != "" {
		granted.Table = policy.TableARN(p.region, "", p.table)
	}
	return granted.Policy(policy.Role(role)).JSON()
}

// Policy returns the custom roles for a role, and the scopes to assign them at.
func (p azureLocation) Policy(role string) (string, error) {
	if !slices.Contains(policy.Roles, policy.Role(role)) {
		return "", cliexit.WithHint(cliexit.Usagef("a store in Azure has no roles for a %s", role),
			"give a relay the roles of a writer and of a maintainer, and a subscriber the roles of a writer: Azure has no rights by the names of blobs")
	}
	return policy.Azure{
		Account:    cmp.Or(p.account, connectionAccount(p.connection), "ACCOUNT"),
		Changesets: cmp.Or(p.options.ChangesetsContainer, azurestore.DefaultChangesetsContainer),
		Heads:      cmp.Or(p.options.HeadsContainer, azurestore.DefaultHeadsContainer),
	}.JSON(policy.Role(role))
}
