package main

import "slices"

// list holds every mutant, by what it breaks.
var list = slices.Concat(formats, reader, writer, storages, inspection)

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
		"a head need not be canonical", "head/codec.go",
		"err != nil || !bytes.Equal(again, record) {", "err != nil || !bytes.Equal(again, again) {", "./head",
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

// reader are the checks of the walk.
var reader = []mutant{
	{
		"the reader does not check contents", "walk.go",
		"if err := c.VerifyContent(); err != nil {", "if err := c.VerifyContent(); false && err != nil {", ". ./inspect",
	},
	{
		"the reader does not hold the newest against the head", "walk.go",
		"if c.Version == w.reader.head.Version {", "if false {", ". ./inspect",
	},
	{
		"the reader does not check links", "walk.go",
		"if err := c.VerifyLink(parent); err != nil {", "if err := c.VerifyLink(parent); false && err != nil {", ". ./inspect",
	},
	{
		"the reader does not check digests", "walk.go",
		"		return c.Header.Verify(parent.Digest)\n", "		return nil\n", ". ./inspect",
	},
	{
		"the reader does not check the first digest", "walk.go",
		"return c.Header.Verify(changeset.Digest{})", "return nil", ". ./inspect",
	},
	{
		"what came since a head need not be built on it", "walk.go",
		"if c.Parent != w.after.ID || c.Ancestors != w.after.Ancestors {", "if false {", ".",
	},
	{
		"indexes may disagree", "walk.go",
		"if ok && known != id {", "if false {", ". ./inspect",
	},
	{
		"a window takes in what has no room", "budget.go",
		"if ahead > 0 && (b.held+h.ContentSize > b.limit ||", "if ahead > 0 && (", ".",
	},
	{
		"a cache takes a damaged header from disk", "cache/disk.go",
		`if sum != fmt.Sprintf("%x", sha256.Sum256([]byte(line))) {`, "if _ = fmt.Sprint(sum, sha256.Size); false {", "./cache",
	},
	{
		"a cache takes a damaged content from disk", "cache/disk.go",
		"err = c.VerifyContent()", "err = nil", "./cache",
	},
	{
		"a cache keeps what is damaged in the storage", "cache/cache.go",
		"if got.VerifyContent() != nil {", "if false {", "./cache",
	},
	{
		"a cache keeps what was read while it was forgotten", "cache/through.go",
		"error {\n\tc.epoch.Add(1)\n", "error {\n", "./cache",
	},
	{
		"a content is admitted once for each request of a Get", "internal/admission/admission.go",
		"if !asked {", "if true {", "./hedge ./cache",
	},
	{
		"hedges are not bounded", "hedge/send.go",
		"if a.tokens < 1 {", "if false {", "./hedge",
	},
	{
		"a range may end beyond the head", "walk.go",
		"case s.last >= r.head.Ancestors.Version():", "case false:", ".",
	},
	{
		"an erased chain is read", "walk.go",
		"case r.head.State == head.Erased:", "case false:", ".",
	},
	{
		"a missing changeset is not found, but not corrupt", "chain.go",
		"case errors.Is(err, ErrNotFound):\n		err = &CorruptError{", "case errors.Is(err, ErrNotFound) && false:\n		err = &CorruptError{", ". ./inspect",
	},
	{
		"a reference of another chain is taken", "chain.go",
		"if id != ref.ID {\n		return head.Head{}, fmt.Errorf(\"%s is not in the chain", "if false {\n		return head.Head{}, fmt.Errorf(\"%s is not in the chain", ".",
	},
	{
		"an erased head loads", "chain.go",
		"if h.State == head.Erased {", "if false {", ".",
	},
}

// writer are the decisions of the append protocol.
var writer = []mutant{
	{
		"the swap does not wait for the puts", "writer.go",
		"	return group.Wait()\n}\n\n// swap makes", "	return nil\n}\n\n// swap makes", ".",
	},
	{
		"an unknown outcome counts as not committed", "writer.go",
		"return a.resolve(ctx, err)", "return got, err", ".",
	},
	{
		"a refused swap is not repeated", "writer.go",
		"if !refused.Retryable || pause.wait(bounded) != nil {", "if true || pause.wait(bounded) != nil {", ".",
	},
	{
		"resolving ends with the caller's context", "writer.go",
		"context.WithTimeout(context.WithoutCancel(ctx), a.chain.store.options.SettleTimeout)", "context.WithTimeout(ctx, a.chain.store.options.SettleTimeout)", ".",
	},
	{
		"a pending swap is not repeated", "writer.go",
		"if errors.Is(err, errPending) {", "if false {", ".",
	},
	{
		"a conflict is believed without a look", "writer.go",
		"return a.judge(ctx, *conflict.Winner)", "return head.Head{}, &ConflictError{Expected: a.old, Actual: *conflict.Winner}", ".",
	},
	{
		"a fenced append is not built anew", "writer.go",
		"if !errors.As(err, &fence) {", "if true {", ".",
	},
	{
		"contents of any size are sent", "writer.go",
		"n > c.store.options.MaxContentSize {", "false && n > c.store.options.MaxContentSize {", ".",
	},
	{
		"reserved chains can be appended to", "writer.go",
		"if changeset.IsReserved(c.id) {", "if false {", ".",
	},
	{
		"a head within an append can be appended to", "writer.go",
		"if after.Within() {", "if false {", ".",
	},
	{
		"an older head is a conflict, not lost", "judge.go",
		"return head.Head{}, a.lost(h)\n	case h.Ref == a.last:", "return head.Head{}, &ConflictError{Expected: a.old, Actual: h}\n	case h.Ref == a.last:", ".",
	},
	{
		"a head of another history is a conflict", "judge.go",
		"case h.Version < a.first.Version || a.diverged(h):", "case h.Version < a.first.Version:", ".",
	},
	{
		"a fence looks like a conflict", "judge.go",
		"return head.Head{}, &fencedError{h}", "return head.Head{}, &ConflictError{Expected: a.old, Actual: h}", ".",
	},
	{
		"our own changeset in the chain is a conflict", "judge.go",
		"if id == a.first.ID {", "if false {", ".",
	},
	{
		"commands are not recognised", "judge.go",
		"if winner.CommandID == a.commandID {", "if false {", ".",
	},
	{
		"any winner passes for the same command", "judge.go",
		"if winner.CommandID == a.commandID {", "if true {", ".",
	},
	{
		"an erased chain refuses like a conflict", "judge.go",
		"case h.State == head.Erased:", "case false:", ".",
	},
	{
		"settling does not fence what is incomplete", "settle.go",
		"return head.Head{}, c.shutOut(ctx, h, last.Ref, refused)", "return head.Head{}, refused", ".",
	},
	{
		"settling commits what was built on a passed revision", "settle.go",
		"case last.AfterRevision < h.Revision:", "case false:", ".",
	},
	{
		"settling takes what is ahead for refused", "settle.go",
		"case last.AfterRevision > h.Revision:", "case false:", ".",
	},
	{
		"settling takes any changeset of the version", "settle.go",
		"	if id != ref.ID {\n		return head.Head{}, c.refusedBelow", "	if false {\n		return head.Head{}, c.refusedBelow", ".",
	},
	{
		"settling does not look at what the objects were built on", "settle.go",
		"if first.Parent != h.ID || first.Ancestors != h.Ancestors {", "if false {", ".",
	},
	{
		"settling does not check the links of an append", "settle.go",
		"if err := first.VerifyLink(info.Header); err != nil {", "if err := first.VerifyLink(info.Header); false && err != nil {", ".",
	},
	{
		"updating decides an uncertain append again", "update.go",
		"if !errors.As(err, &conflict) {", "if conflict = new(ConflictError); err == nil {", ".",
	},
	{
		"updating does not notice a head that went back", "refresh.go",
		"if err == nil && h.Revision < seen.Revision {", "if false {", ".",
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
		"if !current.SameRecord(old) {", "if false {", "./backends/sqlitestore",
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

// inspection are the findings of verify.
var inspection = []mutant{
	{
		"verify does not check contents", "inspect/objects.go",
		"seen.fault = in.fault(o.Ref, c.VerifyContent())", "seen.fault = nil", "./inspect",
	},
	{
		"verify does not check places", "inspect/objects.go",
		"if err == nil && seen.header.Ref != o.Ref {", "if false {", "./inspect",
	},
	{
		"verify does not check links", "inspect/objects.go",
		"if err = h.VerifyLink(parent.header); err == nil {", "if true {", "./inspect",
	},
	{
		"verify does not check digests", "inspect/objects.go",
		"err = h.Verify(parent.header.Digest)", "err = nil", "./inspect",
	},
	{
		"verify does not hold the head against its changeset", "inspect/objects.go",
		"		return h.VerifyNewest(newest.header)", "		return nil", "./inspect",
	},
	{
		"verify does not miss a head", "inspect/survey.go",
		"s.headGone = true", "s.headGone = false", "./inspect",
	},
	{
		"verify takes what is ahead for lost", "inspect/survey.go",
		"case r.after > s.head.Revision:", "case false:", "./inspect",
	},
	{
		"verify takes what is pending for lost", "inspect/survey.go",
		"case s.continues(place):", "case false:", "./inspect",
	},
	{
		"verify does not compare a kept digest", "inspect/report.go",
		"if !kept.IsZero() && r.Kept == (changeset.Ref{}) {", "if false {", "./inspect",
	},
	{
		"a rebuilt head is not above what was built", "inspect/rebuild.go",
		"p.Revision = max(p.Revision, after+1)", "p.Revision = max(p.Revision, after)", "./inspect",
	},
	{
		"a head is rebuilt from what is not proved", "inspect/rebuild.go",
		"if !proof.whole {", "if false {", "./inspect",
	},
	{
		"a head is rolled to what does not descend from it", "inspect/rebuild.go",
		"if !s.objects.at(place).is(above) {", "if false {", "./inspect",
	},
	{
		"a rebuilt head is taken for written without a look", "inspect/apply.go",
		"case now.SameRecord(next):", "case true:", "./inspect",
	},
}
