package policy

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// AWS says where a store on AWS is.
type AWS struct {
	// Bucket is the bucket's ARN.
	Bucket string
	// Table is the ARN of the table of the heads; empty where they are in the
	// bucket.
	Table string
	// Prefix is the store's prefix: empty, or ending in "/".
	Prefix string
}

// BucketARN returns the ARN of a bucket. The region decides on the partition.
func BucketARN(region, bucket string) string {
	return "arn:" + partition(region) + ":s3:::" + bucket
}

// TableARN returns the ARN of a table; an empty region or account stands for
// any of them.
func TableARN(region, account, table string) string {
	anyIfEmpty := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", partition(region), anyIfEmpty(region), anyIfEmpty(account), table)
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// IAM is an identity-based policy of AWS.
type IAM struct {
	Version   string
	Statement []Statement
}

// Statement is one of a policy's.
type Statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]string `json:",omitempty"`
}

// JSON returns the policy's text.
func (p IAM) JSON() (string, error) { return text(p) }

// Policy returns what an identity of that role is granted.
func (a AWS) Policy(r Role) IAM {
	p := IAM{Version: "2012-10-17"}
	switch r {
	case Writer:
		p.Statement = a.writer()
	case Reader:
		p.Statement = a.reader()
	case Maintainer:
		p.Statement = a.maintainer()
	case Relay:
		p.Statement = a.relay()
	case Subscriber:
		p.Statement = a.owner(subscriptions)
	}
	return p
}

func (a AWS) reader() []Statement {
	if a.Table == "" {
		return []Statement{a.read(changeset.Folder, head.Folder), a.missing()}
	}
	return []Statement{a.read(changeset.Folder), a.missing(), a.heads("dynamodb:GetItem")}
}

func (a AWS) writer() []Statement {
	if a.Table == "" {
		return []Statement{a.read(changeset.Folder, head.Folder), a.missing(), a.create(changeset.Folder, head.Folder), a.replace(head.Folder)}
	}
	return []Statement{a.read(changeset.Folder), a.missing(), a.create(changeset.Folder), a.writableHeads()}
}

func (a AWS) maintainer() []Statement {
	if a.Table == "" {
		return []Statement{
			a.read(changeset.Folder, head.Folder, probes), a.missing(),
			a.create(head.Folder, probes), a.replace(head.Folder, probes), a.delete(), a.bucket(),
		}
	}
	return []Statement{
		a.read(changeset.Folder, probes), a.missing(),
		a.create(probes), a.replace(probes), a.delete(), a.bucket(),
		a.writableHeads(),
		a.items("DeleteProbes", a.literal()+probes+"*", "dynamodb:DeleteItem"),
		a.table(),
	}
}

// The names of the library's own chains and snapshots, as objects and as items.
var (
	feeds         = changeset.Escape(reserved.Register)
	subscriptions = changeset.Escape(reserved.Subscriptions)
	snapshots     = changeset.Folder + changeset.Escape(reserved.SnapshotsPrefix)
)

func (a AWS) relay() []Statement {
	statements := append(a.owner(feeds, snapshots), a.deleteFrom(snapshots))
	if a.Table == "" {
		return statements
	}
	return append(statements,
		allow("ListHeads", []string{a.Table}, "dynamodb:Scan", "dynamodb:DescribeTable"),
		allow("ReadStream", []string{a.Table + "/stream/*"}, "dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"))
}

// owner allows to read all, and to write the chains whose names begin with own and
// objects that begin with one of others.
func (a AWS) owner(own string, others ...string) []Statement {
	if a.Table == "" {
		puts := append([]string{changeset.Folder + own, head.Folder + own}, others...)
		return append(a.reader(), a.create(puts...), a.replace(head.Folder+own))
	}
	puts := append([]string{changeset.Folder + own}, others...)
	return append(a.reader(), a.create(puts...), a.items("OwnHeads", a.literal()+own+"*", "dynamodb:UpdateItem"))
}

// read allows getting objects in the folders. S3 requires the same right for
// replacing an object by its ETag.
func (a AWS) read(folders ...string) Statement {
	return allow("Read", a.objects(folders), "s3:GetObject")
}

// missing lets S3 answer that an object does not exist. It denies access
// otherwise, and has no smaller right for this than to list the bucket.
func (a AWS) missing() Statement {
	return allow("ListAndTellWhatIsMissing", []string{a.Bucket}, "s3:ListBucket")
}

// create allows a put only on the condition that the object does not exist.
func (a AWS) create(folders ...string) Statement {
	s := allow("Create", a.objects(folders), "s3:PutObject")
	s.Condition = map[string]map[string]string{"Null": {"s3:if-none-match": "false"}}
	return s
}

// replace allows a put only on the condition that it replaces a known ETag.
func (a AWS) replace(folders ...string) Statement {
	s := allow("Replace", a.objects(folders), "s3:PutObject")
	s.Condition = map[string]map[string]string{"Null": {"s3:if-match": "false"}}
	return s
}

func (a AWS) delete() Statement { return a.deleteFrom(changeset.Folder, probes) }

func (a AWS) deleteFrom(folders ...string) Statement {
	return allow("Delete", a.objects(folders), "s3:DeleteObject")
}

// bucket allows creating the bucket and looking at its settings.
func (a AWS) bucket() Statement {
	return allow("SetUpBucket", []string{a.Bucket},
		"s3:CreateBucket",
		"s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock",
		"s3:GetBucketVersioning", "s3:PutBucketVersioning",
		"s3:GetEncryptionConfiguration",
		"s3:GetLifecycleConfiguration")
}

// heads allows actions on the items below the prefix.
func (a AWS) heads(actions ...string) Statement {
	return a.items("Heads", a.literal()+"*", actions...)
}

// writableHeads allows to read and to swap heads, also several in one transaction, for
// which DynamoDB requires the rights of its members.
func (a AWS) writableHeads() Statement {
	return a.heads("dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem")
}

// items allows actions on the items whose keys match.
func (a AWS) items(sid, keys string, actions ...string) Statement {
	s := allow(sid, []string{a.Table}, actions...)
	s.Condition = map[string]map[string]string{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}
	return s
}

// table allows to create the table, to enable its stream, to look at its settings and
// to list all heads.
func (a AWS) table() Statement {
	return allow("ListHeadsAndSetUpTable", []string{a.Table},
		"dynamodb:Scan",
		"dynamodb:CreateTable", "dynamodb:UpdateTable", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive",
		"dynamodb:DescribeContinuousBackups", "dynamodb:UpdateContinuousBackups")
}

func allow(sid string, resources []string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

// objects returns the ARNs of all objects below the prefix whose names begin with one
// of the folders.
func (a AWS) objects(folders []string) []string {
	var arns []string
	for _, folder := range folders {
		arns = append(arns, a.Bucket+"/"+a.literal()+folder+"*")
	}
	return arns
}

// literal returns the prefix with what IAM takes for a pattern escaped.
func (a AWS) literal() string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(a.Prefix)
}
