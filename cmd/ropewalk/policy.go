package main

import (
	"cmp"

	"ropewalk/backends/azurestore"
	"ropewalk/internal/policy"
)

// policy returns the role's IAM policy. The account is not known here, and any
// table of that name stands for ours; so does one in any region where the URL
// names none.
func (p awsPlace) policy(role string) (string, error) {
	granted := policy.AWS{Bucket: policy.BucketARN(p.region, p.bucket), Prefix: p.prefix}
	if p.table != "" {
		granted.Table = policy.TableARN(p.region, "", p.table)
	}
	return granted.Policy(policy.Role(role)).JSON()
}

// policy returns the role's custom roles, and the scopes to assign them at.
func (p azurePlace) policy(role string) (string, error) {
	return policy.Azure{
		Account:    cmp.Or(p.account, connectionAccount(p.connection), "ACCOUNT"),
		Changesets: cmp.Or(p.options.ChangesetsContainer, azurestore.DefaultChangesetsContainer),
		Heads:      cmp.Or(p.options.HeadsContainer, azurestore.DefaultHeadsContainer),
	}.JSON(policy.Role(role))
}
