package deploy_test

import (
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/policy"
)

const (
	bucketARN = "arn:aws:s3:::acme-orders"
	tableARN  = "arn:aws:dynamodb:eu-west-1:123456789012:table/acme-heads"
)

// loadAWS reads the module as it is for the bucket acme-orders and the table
// acme-heads, and some more variables.
func loadAWS(t *testing.T, more values) module {
	t.Helper()
	variables := values{"bucket": "acme-orders", "table": "acme-heads"}
	for name, value := range more {
		variables[name] = value
	}
	policies := values{}
	for _, r := range policy.AWSRoles {
		policies[string(r)] = values{"arn": "arn of " + string(r)}
	}
	return load(t, "aws", variables, values{
		"aws_s3_bucket":      values{"changesets": values{"id": "acme-orders", "arn": bucketARN, "region": "eu-west-1"}},
		"aws_dynamodb_table": values{"heads": values{"name": "acme-heads", "arn": tableARN}},
		"aws_iam_policy":     values{"role": policies},
	})
}

func TestAWSBucket(t *testing.T) {
	m := loadAWS(t, nil)
	m.requireAttributes(m.block("resource", "aws_s3_bucket", "changesets"), values{"bucket": "acme-orders", "tags": values{}})
	m.requireAttributes(m.block("resource", "aws_s3_bucket_public_access_block", "changesets"), values{
		"bucket": "acme-orders", "block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true, "restrict_public_buckets": true,
	})
	ownership := m.block("resource", "aws_s3_bucket_ownership_controls", "changesets")
	m.requireAttributes(m.within(ownership, "rule"), values{"object_ownership": "BucketOwnerEnforced"})
	encryption := m.block("resource", "aws_s3_bucket_server_side_encryption_configuration", "changesets")
	m.requireAttributes(m.within(encryption, "rule", "apply_server_side_encryption_by_default"), values{"sse_algorithm": "AES256"})
}

func TestAWSVersioningIsAnOption(t *testing.T) {
	for on, count := range map[bool]int{false: 0, true: 1} {
		m := loadAWS(t, values{"versioning": on})
		b := m.block("resource", "aws_s3_bucket_versioning", "changesets")
		m.requireAttributes(b, values{"bucket": "acme-orders", "count": count})
		m.requireAttributes(m.within(b, "versioning_configuration"), values{"status": "Enabled"})
	}
}

// Only changesets move, only to classes that can be read at once, and nothing
// in the bucket expires.
func TestAWSLifecycle(t *testing.T) {
	m := loadAWS(t, values{"prefix": "blue/"})
	lifecycle := m.block("resource", "aws_s3_bucket_lifecycle_configuration", "changesets")
	rule := m.within(lifecycle, "rule")
	m.requireAttributes(rule, values{"id": "colder-changesets", "status": "Enabled"})
	m.requireAttributes(m.within(rule, "filter"), values{"prefix": "blue/" + changeset.Folder})
	m.requireAttributes(m.within(rule, "abort_incomplete_multipart_upload"), values{"days_after_initiation": 7})
	transitions := m.only(rule.Body.Blocks, "dynamic", "transition")
	m.requireAttributes(transitions, values{"for_each": []any{
		values{"days": 90, "storage_class": "STANDARD_IA"},
		values{"days": 365, "storage_class": "GLACIER_IR"},
	}})
	require.Len(t, rule.Body.Blocks, 3, "and no other action")
	everywhere(m.blocks, func(b *hclsyntax.Block) { require.NotContains(t, b.Type, "expiration") })
}

func TestAWSTable(t *testing.T) {
	for _, protected := range []bool{true, false} {
		m := loadAWS(t, values{"deletion_protection": protected})
		table := m.block("resource", "aws_dynamodb_table", "heads")
		m.requireAttributes(table, values{
			"name": "acme-heads", "billing_mode": "PAY_PER_REQUEST", "hash_key": head.FieldAggregateID,
			"deletion_protection_enabled": protected, "stream_enabled": true, "stream_view_type": "NEW_IMAGE", "tags": values{},
		})
		m.requireAttributes(m.within(table, "attribute"), values{"name": head.FieldAggregateID, "type": "S"})
		m.requireAttributes(m.within(table, "point_in_time_recovery"), values{"enabled": true})
		require.Len(t, table.Body.Blocks, 2, "no time to live, no replica")
	}
	m := loadAWS(t, nil)
	require.True(t, m.value(m.block("variable", "deletion_protection"), "default").True())
}

// The module grants what the command prints.
func TestAWSPolicies(t *testing.T) {
	for _, prefix := range []string{"", "team-a/blue/"} {
		m := loadAWS(t, values{"prefix": prefix})
		b := m.block("resource", "aws_iam_policy", "role")
		roles := fromCty(m.value(b, "for_each"))
		require.ElementsMatch(t, []any{"writer", "reader", "maintainer", "relay", "subscriber"}, roles)
		for _, r := range policy.AWSRoles {
			want, err := policy.AWS{Bucket: bucketARN, Table: tableARN, Prefix: prefix}.Policy(r).JSON()
			require.NoError(t, err)
			key := cty.StringVal(string(r))
			require.Equal(t, want, m.value(b, "policy", key, key).AsString())
			require.Equal(t, "acme-orders-"+string(r), m.value(b, "name", key, key).AsString())
		}
	}
}

func TestAWSOutputs(t *testing.T) {
	for prefix, url := range map[string]string{
		"":           "aws://acme-orders/?table=acme-heads&region=eu-west-1",
		"team-a/b1/": "aws://acme-orders/team-a/b1/?table=acme-heads&region=eu-west-1",
	} {
		m := loadAWS(t, values{"prefix": prefix, "packed": true})
		require.Equal(t, url+"&format=packed", m.value(m.block("output", "store_url"), "value").AsString())
		m = loadAWS(t, values{"prefix": prefix})
		require.Equal(t, url, m.value(m.block("output", "store_url"), "value").AsString())
		for _, r := range policy.AWSRoles {
			require.Equal(t, "arn of "+string(r), m.value(m.block("output", string(r)+"_policy_arn"), "value").AsString())
		}
	}
}

// Values that would lose or hide changesets, or are not a prefix, are refused.
func TestAWSVariablesAreValidated(t *testing.T) {
	class := func(name string) []any { return []any{values{"days": 1, "storage_class": name}} }
	requireValidation(t, loadAWS, "transitions", []any{[]any{}, class("GLACIER_IR"), class("INTELLIGENT_TIERING")},
		[]any{class("GLACIER"), class("DEEP_ARCHIVE"), class("ONEZONE_IA")})
	requireValidation(t, loadAWS, "prefix", goodPrefixes, badPrefixes)
}

var (
	goodPrefixes = []any{"", "a/", "team-a/blue_2/"}
	badPrefixes  = []any{"a", "/", "/a/", "a//", "a/../", "a b/", "${x}/", "*/", "a/\n"}
)

// requireValidation checks which values a variable takes.
func requireValidation(t *testing.T, load func(*testing.T, values) module, name string, good, bad []any) {
	t.Helper()
	for want, all := range map[bool][]any{true: good, false: bad} {
		for _, value := range all {
			m := load(t, values{name: value})
			condition := m.value(m.within(m.block("variable", name), "validation"), "condition")
			require.Equal(t, want, condition.True(), "%s = %v", name, value)
		}
	}
}

func TestAWSExample(t *testing.T) {
	requireExample(t, "aws/example", map[string]string{"orders": "aws", "schedules": "aws/schedules"})
}

// requireExample checks that an example gives the variables of the modules that it calls, and
// uses outputs that they have.
func requireExample(t *testing.T, folder string, modules map[string]string) {
	t.Helper()
	example := parse(t, folder)
	for name, source := range modules {
		called := parse(t, source)
		call := example.block("module", name)
		require.Equal(t, source, filepath.ToSlash(filepath.Join(folder, example.value(call, "source").AsString())))
		given := call.Body.Attributes
		for attribute := range given {
			if attribute != "source" {
				called.block("variable", attribute)
			}
		}
		for _, b := range called.blocks {
			if b.Type == "variable" && !called.has(b, "default") {
				require.Contains(t, given, b.Labels[0], "the example does not give it")
			}
		}
	}
	used := 0
	everywhere(example.blocks, func(b *hclsyntax.Block) {
		for _, a := range b.Body.Attributes {
			for _, v := range a.Expr.Variables() {
				if v.RootName() == "module" {
					parse(t, modules[attributeName(v[1])]).block("output", attributeName(v[2]))
					used++
				}
			}
		}
	})
	require.NotZero(t, used)
}
