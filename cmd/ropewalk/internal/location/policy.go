package location

import (
	"cmp"

	"ropewalk/backends/azurestore"
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
	return policy.Azure{
		Account:    cmp.Or(p.account, connectionAccount(p.connection), "ACCOUNT"),
		Changesets: cmp.Or(p.options.ChangesetsContainer, azurestore.DefaultChangesetsContainer),
		Heads:      cmp.Or(p.options.HeadsContainer, azurestore.DefaultHeadsContainer),
	}.JSON(policy.Role(role))
}
