package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/internal/policy"
	"ropewalk/internal/reserved"
)

var aws = policy.AWS{
	Bucket: policy.BucketARN("eu-west-1", "acme-orders"),
	Table:  policy.TableARN("eu-west-1", "123456789012", "acme-heads"),
	Prefix: "blue/",
}

func TestARNs(t *testing.T) {
	require.Equal(t, "arn:aws:s3:::acme-orders", policy.BucketARN("", "acme-orders"))
	require.Equal(t, "arn:aws:dynamodb:*:*:table/heads", policy.TableARN("", "", "heads"))
	require.Equal(t, "arn:aws-cn:dynamodb:cn-north-1:1:table/heads", policy.TableARN("cn-north-1", "1", "heads"))
	require.Equal(t, "arn:aws-us-gov:s3:::b", policy.BucketARN("us-gov-west-1", "b"))
}

// A prefix is a name, whatever IAM makes of its characters elsewhere.
func TestPrefixIsNoPattern(t *testing.T) {
	odd := policy.AWS{Bucket: "arn:aws:s3:::b", Table: "arn:aws:dynamodb:*:*:table/t", Prefix: "a*?${x}/"}
	s := odd.Policy(policy.Reader).Statement
	require.Equal(t, []string{"arn:aws:s3:::b/a${*}${?}${$}{x}/changesets/*"}, s[0].Resource)
	require.Equal(t, "a${*}${?}${$}{x}/*", s[2].Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
}

// A role that may put may do so only if nothing is overwritten unknowingly. No
// role deletes a head.
func TestNoRoleLosesHistory(t *testing.T) {
	inBucket := aws
	inBucket.Table = ""
	for _, store := range []policy.AWS{aws, inBucket} {
		for _, r := range policy.AWSRoles {
			for _, s := range store.Policy(r).Statement {
				if slices.Contains(s.Action, "s3:PutObject") {
					require.Len(t, s.Condition["Null"], 1, "%s: %s", r, s.Sid)
				}
				if slices.Contains(s.Action, "s3:DeleteObject") && r == policy.Relay {
					require.Equal(t, []string{aws.Bucket + "/blue/changesets/%24snapshots-*"}, s.Resource)
				} else if slices.Contains(s.Action, "s3:DeleteObject") {
					require.Equal(t, policy.Maintainer, r)
					require.NotContains(t, strings.Join(s.Resource, " "), "heads/")
				}
				if slices.Contains(s.Action, "dynamodb:DeleteItem") {
					require.Equal(t, policy.Maintainer, r)
					require.Equal(t, "blue/ropewalk-probe/*", s.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
				}
				for _, action := range s.Action {
					_, name, _ := strings.Cut(action, ":")
					if strings.HasPrefix(name, "Delete") {
						require.Contains(t, []string{"DeleteObject", "DeleteItem"}, name, "%s: versions, buckets, tables and backups stay", r)
					}
					require.NotContains(t, name, "*")
				}
			}
		}
	}
	for key, d := range policy.Definitions() {
		if slices.Contains(d.Scopes, policy.HeadsScope) {
			require.Subset(t, []string{"read", "write", "add/action"}, rightsOnBlobs(d), key)
		}
	}
}

// rightsOnBlobs returns the data actions of a custom role, without what they all begin
// with.
func rightsOnBlobs(d policy.Definition) (rights []string) {
	for _, action := range d.DataActions {
		rights = append(rights, action[strings.LastIndex(action, "/blobs/")+len("/blobs/"):])
	}
	return rights
}

// Relays and subscribers write what is the library's own, and nothing else.
func TestFeedRolesWriteTheirOwn(t *testing.T) {
	inBucket := aws
	inBucket.Table = ""
	names := map[policy.Role][]string{policy.Relay: {reserved.Register, reserved.Feed("1"), reserved.Snapshots("order")}, policy.Subscriber: {reserved.Subscription("a")}}
	for _, store := range []policy.AWS{aws, inBucket} {
		for r, own := range names {
			for _, s := range store.Policy(r).Statement {
				var writes []string
				switch {
				case slices.Contains(s.Action, "dynamodb:UpdateItem"):
					writes = []string{s.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]}
				case slices.Contains(s.Action, "s3:PutObject"):
					writes = s.Resource
				}
				for _, pattern := range writes {
					start, ok := strings.CutSuffix(pattern[strings.LastIndex(pattern, "/")+1:], "*")
					require.True(t, ok)
					require.True(t, slices.ContainsFunc(own, func(id string) bool { return strings.HasPrefix(changeset.Escape(id), start) }), pattern)
					id, err := changeset.Unescape(start)
					require.NoError(t, err)
					require.True(t, reserved.Is(id), pattern)
				}
			}
		}
	}
}

// Every role that may write may read.
func TestWritersMayRead(t *testing.T) {
	for _, r := range []policy.Role{policy.Writer, policy.Relay, policy.Subscriber} {
		for _, read := range aws.Policy(policy.Reader).Statement {
			covered := slices.ContainsFunc(aws.Policy(r).Statement, func(s policy.Statement) bool {
				return slices.Contains(s.Action, read.Action[0]) && slices.Equal(s.Resource, read.Resource)
			})
			require.True(t, covered, "%s: %s", r, read.Sid)
		}
	}
	reads := policy.Definitions()["reader"].DataActions
	for _, key := range []string{"changeset-writer", "head-writer"} {
		require.Subset(t, policy.Definitions()[key].DataActions, reads)
	}
}

// AWS wants a policy's statements to have different, alphanumeric IDs, and
// takes 6,144 characters without white space at most.
func TestIAMPoliciesAreWellFormed(t *testing.T) {
	for _, r := range policy.AWSRoles {
		text, err := aws.Policy(r).JSON()
		require.NoError(t, err)
		require.Less(t, len(strings.Join(strings.Fields(text), "")), 6144)
		var p policy.IAM
		require.NoError(t, json.Unmarshal([]byte(text), &p))
		require.Equal(t, aws.Policy(r), p)
		sids := map[string]bool{}
		for _, s := range p.Statement {
			require.Regexp(t, `^[A-Za-z]+$`, s.Sid)
			require.False(t, sids[s.Sid], s.Sid)
			sids[s.Sid] = true
			require.NotEmpty(t, s.Action)
			require.NotEmpty(t, s.Resource)
		}
	}
}

// Rights on blobs are data actions, and all others are not.
func TestAzureActionsAreInTheirPlaces(t *testing.T) {
	for key, d := range policy.Definitions() {
		for _, action := range d.Actions {
			require.NotContains(t, action, "/blobs/", key)
		}
		for _, action := range d.DataActions {
			require.Contains(t, action, "/blobs/", key)
		}
	}
}

func TestAzureAssignments(t *testing.T) {
	azure := policy.Azure{Account: "acme", Changesets: "changesets", Heads: "aggregates"}
	const account = "/subscriptions/SUBSCRIPTION/resourceGroups/RESOURCE_GROUP/providers/Microsoft.Storage/storageAccounts/acme"
	scopes := map[string][]string{}
	for _, r := range policy.Roles {
		for _, a := range azure.Assignments(r) {
			scopes[a.Definition.Name] = a.Scopes
			require.True(t, a.Definition.IsCustom)
		}
	}
	changesets, heads := account+"/blobServices/default/containers/changesets", account+"/blobServices/default/containers/aggregates"
	require.Equal(t, map[string][]string{
		"Ropewalk changeset writer (acme)": {changesets},
		"Ropewalk head writer (acme)":      {heads},
		"Ropewalk reader (acme)":           {changesets, heads},
		"Ropewalk maintainer (acme)":       {changesets},
		"Ropewalk head maintainer (acme)":  {heads},
		"Ropewalk set-up (acme)":           {account},
	}, scopes)
	azure.Heads = azure.Changesets
	require.Len(t, azure.Assignments(policy.Reader)[0].Scopes, 1)
}

// The text is what "az role definition create" takes, without nulls.
func TestAzureText(t *testing.T) {
	text, err := policy.Azure{Account: "acme", Changesets: "c", Heads: "h"}.JSON(policy.Reader)
	require.NoError(t, err)
	require.NotContains(t, text, "null")
	for _, key := range []string{"Name", "IsCustom", "Description", "Actions", "NotActions", "DataActions", "NotDataActions", "AssignableScopes"} {
		require.Contains(t, text, `"`+key+`":`)
	}
}
