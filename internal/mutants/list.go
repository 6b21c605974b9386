package main

import "slices"

// list holds every mutant, by what it breaks.
var list = slices.Concat(formats, reader, writer, batching, typed, storages, inspection, collection)

// formats are the checks of what is stored.
var formats = []mutant{
	{
		"contents of another size pass", "changeset/changeset.go",
		"if int64(len(c.Content)) != c.ContentSize {", "if false {", "./changeset",
	},
	{
		"contents of another hash pass", "changeset/changeset.go",
		"!bytes.Equal(sum[:], c.ContentSHA256[:])", "false && !bytes.Equal(sum[:], c.ContentSHA256[:])", "./changeset",
	},
	{
		"a header need not match its digest", "changeset/changeset.go",
		"if h.ComputeDigest(parent) != h.Digest {", "if false {", "./changeset",
	},
	{
		"a parent of another aggregate passes", "changeset/changeset.go",
		"h.AggregateID != parent.AggregateID || ", "", "./changeset",
	},
	{
		"a parent of any version passes", "changeset/changeset.go",
		"h.Version != parent.Version+1 || ", "", "./changeset",
	},
	{
		"any parent passes", "changeset/changeset.go",
		" || h.Parent != parent.ID:", ":", "./changeset",
	},
	{
		"the ancestor index need not follow from the parent's", "changeset/changeset.go",
		"case h.Ancestors != parent.Ancestors.Push(parent.ID):", "case false:", "./changeset",
	},
	{
		"revisions need not grow along a chain", "changeset/changeset.go",
		"case !h.follows(parent):", "case false:", "./changeset",
	},
	{
		"a changeset may be older than its parent", "changeset/changeset.go",
		"case h.RecordedAt.Before(parent.RecordedAt):", "case false:", "./changeset",
	},
	{
		"an index of wrong wheels passes", "changeset/index.go",
		"if len(rest) == 0 || int(rest[0]) != want || len(rest) < 1+want*idSize {", "if len(rest) < 1+want*idSize {", "./changeset",
	},
	{
		"an index with bytes behind it passes", "changeset/index.go",
		"if len(rest) != 0 {", "if false {", "./changeset",
	},
	{
		"metadata of another changeset passes", "changeset/metadata.go",
		"if h.Ref != o.Ref {", "if false {", "./changeset",
	},
	{
		"metadata need not be canonical", "changeset/metadata.go",
		"if !h.isEncodedAs(o.Metadata, s) {", "if false {", "./changeset",
	},
	{
		"a newer format is corrupt, not unsupported", "changeset/metadata.go",
		"err == nil && n > Format {", "err == nil && n < Format {", "./changeset",
	},
	{
		"metadata of a row need not be canonical", "changeset/row.go",
		"err == nil && h.json() != r.Metadata {", "false {", "./changeset",
	},
	{
		"a head need not be canonical", "head/codec.go",
		"failed != nil || !bytes.Equal(again, record) {", "failed != nil || !bytes.Equal(again, again) {", "./head",
	},
	{
		"a head's index need not end at its changeset", "head/fields.go",
		"case h.Ancestors.Version() != h.Version+1 || h.Ancestors.Parent() != h.ID:", "case false:", "./head",
	},
	{
		"a head with a newer min-reader is trusted", "head/fields.go",
		"if f.MinReader > changeset.Format {", "if false {", "./head",
	},
	{
		"a head with a newer min-writer is replaced", "head/extend.go",
		"if f.MinWriter > changeset.Format {", "if false {", "./head",
	},
	{
		"a head's digest need not be its changeset's", "head/head.go",
		"case h.Digest != newest.Digest:", "case false:", "./head",
	},
	{
		"a head's revision may be as low as it likes", "head/head.go",
		"case h.Revision <= newest.AfterRevision:", "case false:", "./head",
	},
	{
		"a swap may keep the revision", "head/store.go",
		"case next.Revision <= old.Revision:", "case false:", "./head",
	},
	{
		"a swap may go back to a lower version", "head/store.go",
		"case old.Exists() && next.Version < old.Version:", "case false:", "./head",
	},
	{
		"an erased chain may be brought back", "head/store.go",
		"case old.State == Erased:", "case false:", "./head",
	},
	{
		"what is recorded may be before the head", "head/extend.go",
		"if at.Before(after.UpdatedAt) {", "if false {", "./head",
	},
}

// storages are the conditions of the backends that need no service.
var storages = []mutant{
	{
		"memory swaps whatever is there", "backends/memstore/heads.go",
		"if !stored.SameRecord(old) {", "if false {", "./backends/memstore",
	},
	{
		"SQLite swaps whatever is there", "backends/sqlitestore/heads.go",
		"if !current.SameRecord(r.old) {", "if false {", "./backends/sqlitestore",
	},
	{
		"SQLite updates whatever is there", "backends/sqlitestore/session.go",
		"record = ? AND digest = ?", "(record = ? AND digest = ? OR true)", "./backends/sqlitestore",
	},
	{
		"SQLite updates a head of another history", "backends/sqlitestore/session.go",
		"record = ? AND digest = ?", "record = ? AND (digest = ? OR true)", "./backends/sqlitestore",
	},
	{
		"SQLite commits what a failed request has written", "backends/sqlitestore/writer.go",
		"if err != nil && !isConflict(err) {", "if false {", "./backends/sqlitestore",
	},
	{
		"SQLite forgets those who waited with a failed request", "backends/sqlitestore/writer.go",
		"			w.again(batch)\n", "", "./backends/sqlitestore -run AFailureIsItsOwn",
	},
	{
		"SQLite takes a failed commit for none", "backends/sqlitestore/writer.go",
		"case outcome == nil:", "case outcome == nil && false:", "./backends/sqlitestore",
	},
	{
		"Azure: a lost reply is a refusal", "backends/azurestore/swap.go",
		"return answer.ErrorCode != \"\" && answer.StatusCode >= 400 && answer.StatusCode < 500 &&", "return answer.StatusCode >= 400 &&", "./backends/azurestore",
	},
	{
		"Azure: a swap has no condition", "backends/azurestore/swap.go",
		"condition = blob.ModifiedAccessConditions{IfMatch: &etag}", "_, condition = etag, blob.ModifiedAccessConditions{}", "./backends/azurestore",
	},
	{
		"Azure: a swap is sent again by the client", "backends/azurestore/swap.go",
		"policy.RetryOptions{MaxRetries: -1}", "policy.RetryOptions{}", "./backends/azurestore",
	},
	{
		"S3: a swap is sent again by the client", "backends/s3store/heads.go",
		"o.Retryer = awscall.OneAttempt", "_ = awscall.OneAttempt", "./backends/s3store",
	},
	{
		"S3: a swap has no condition", "backends/s3store/heads.go",
		"in.IfMatch = aws.String(old.Token())", "in.IfMatch = nil", "./backends/s3store",
	},
	{
		"S3: a first swap has no condition", "backends/s3store/heads.go",
		"in.IfNoneMatch = aws.String(\"*\")", "in.IfNoneMatch = nil", "./backends/s3store",
	},
	{
		"DynamoDB: a swap is sent again by the client", "backends/dynamostore/heads.go",
		"o.Retryer = awscall.OneAttempt", "_ = awscall.OneAttempt", "./backends/dynamostore",
	},
	{
		"DynamoDB: a swap does not compare revisions", "backends/dynamostore/heads.go",
		"#r = :r AND #v = :v", "#v = :v", "./backends/dynamostore",
	},
	{
		"AWS: a server's failure is a refusal", "internal/awscall/swap.go",
		"300 <= status && status < 500", "300 <= status", "./backends/s3store ./backends/dynamostore",
	},
	{
		"AWS: a swap that was sent counts as never sent", "internal/awscall/swap.go",
		"if !sent || unreachable(err) {", "if true || !sent || unreachable(err) {", "./backends/s3store ./backends/dynamostore",
	},
}
