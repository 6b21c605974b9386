package main

// core runs the tests of the root package but for those of appenders, which
// take long and stand on the same checks.
const core = ". -skip Appender"

// reader are the checks of the walk.
var reader = []mutant{
	{
		"the reader does not check contents", "walk.go",
		"if err := c.VerifyContent(); err != nil {", "if err := c.VerifyContent(); false && err != nil {", "./inspect " + core,
	},
	{
		"the reader does not hold the newest against the head", "walk.go",
		"if c.Version == w.reader.head.Version {", "if false {", "./inspect " + core,
	},
	{
		"the reader does not check links", "walk.go",
		"if err := c.VerifyLink(parent); err != nil {", "if err := c.VerifyLink(parent); false && err != nil {", "./inspect " + core,
	},
	{
		"the reader does not check digests", "walk.go",
		"		return c.Header.Verify(parent.Digest)\n", "		return nil\n", "./inspect " + core,
	},
	{
		"the reader does not check the first digest", "walk.go",
		"return c.Header.Verify(changeset.Digest{})", "return nil", "./inspect " + core,
	},
	{
		"what came since a head need not be built on it", "walk.go",
		"if c.Parent != w.after.ID || c.Ancestors != w.after.Ancestors {", "if false {", core,
	},
	{
		"indexes may disagree", "walk.go",
		"if ok && known != id {", "if false {", "./inspect " + core,
	},
	{
		"a window takes in what has no room", "budget.go",
		"if ahead > 0 && (b.held+h.ContentSize > b.limit ||", "if ahead > 0 && (", core,
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
		"case s.last >= r.head.Ancestors.Version():", "case false:", core,
	},
	{
		"an erased chain is read", "walk.go",
		"case r.head.State == head.Erased:", "case false:", core,
	},
	{
		"a missing changeset is not found, but not corrupt", "chain.go",
		"case errors.Is(err, ErrNotFound):\n		err = &CorruptError{", "case errors.Is(err, ErrNotFound) && false:\n		err = &CorruptError{", "./inspect " + core,
	},
	{
		"a reference of another chain is taken", "chain.go",
		"if id != ref.ID {\n		return head.Head{}, fmt.Errorf(\"%s is not in the chain", "if false {\n		return head.Head{}, fmt.Errorf(\"%s is not in the chain", core,
	},
	{
		"an erased head loads", "chain.go",
		"if h.State == head.Erased {", "if false {", core,
	},
}

// writer are the decisions of the append protocol.
var writer = []mutant{
	{
		"the swap does not wait for the puts", "writer.go",
		"	return group.Wait()\n}\n\n// swap makes", "	return nil\n}\n\n// swap makes", core,
	},
	{
		"an unknown outcome counts as not committed", "writer.go",
		"return a.resolve(ctx, err)", "return got, err", core,
	},
	{
		"a refused swap is not repeated", "writer.go",
		"if !refused.Retryable || pause.wait(bounded) != nil {", "if true || pause.wait(bounded) != nil {", core,
	},
	{
		"resolving ends with the caller's context", "writer.go",
		"context.WithTimeout(context.WithoutCancel(ctx), a.chain.store.options.SettleTimeout)", "context.WithTimeout(ctx, a.chain.store.options.SettleTimeout)", core,
	},
	{
		"a pending swap is not repeated", "writer.go",
		"if errors.Is(err, errPending) {", "if false {", core,
	},
	{
		"a conflict is believed without a look", "writer.go",
		"return a.judge(ctx, *conflict.Winner)", "return head.Head{}, &ConflictError{Expected: a.old, Actual: *conflict.Winner}", core,
	},
	{
		"a fenced append is not built anew", "writer.go",
		"if !errors.As(err, &fence) {", "if true {", core,
	},
	{
		"contents of any size are sent", "writer.go",
		"n > c.store.options.MaxContentSize {", "false && n > c.store.options.MaxContentSize {", core,
	},
	{
		"reserved chains can be appended to", "writer.go",
		"if changeset.IsReserved(c.id) {", "if false {", core,
	},
	{
		"a head within an append can be appended to", "writer.go",
		"if after.Within() {", "if false {", core,
	},
	{
		"an older head is a conflict, not lost", "judge.go",
		"return head.Head{}, a.lost(h)\n	case h.Ref == a.last:", "return head.Head{}, &ConflictError{Expected: a.old, Actual: h}\n	case h.Ref == a.last:", core,
	},
	{
		"a head of another history is a conflict", "judge.go",
		"case h.Version < a.first.Version || a.diverged(h):", "case h.Version < a.first.Version:", core,
	},
	{
		"a fence looks like a conflict", "judge.go",
		"return head.Head{}, &fencedError{h}", "return head.Head{}, &ConflictError{Expected: a.old, Actual: h}", core,
	},
	{
		"our own changeset in the chain is a conflict", "judge.go",
		"if id == a.first.ID {", "if false {", core,
	},
	{
		"commands are not recognised", "judge.go",
		"if winner.CommandID == a.commandID {", "if false {", core,
	},
	{
		"any winner passes for the same command", "judge.go",
		"if winner.CommandID == a.commandID {", "if true {", core,
	},
	{
		"an erased chain refuses like a conflict", "judge.go",
		"case h.State == head.Erased:", "case false:", core,
	},
	{
		"settling does not fence what is incomplete", "settle.go",
		"return head.Head{}, c.shutOut(ctx, h, last.Ref, refused)", "return head.Head{}, refused", core,
	},
	{
		"settling commits what was built on a passed revision", "settle.go",
		"case last.AfterRevision < h.Revision:", "case false:", core,
	},
	{
		"settling takes what is ahead for refused", "settle.go",
		"case last.AfterRevision > h.Revision:", "case false:", core,
	},
	{
		"settling takes any changeset of the version", "settle.go",
		"	if id != ref.ID {\n		return head.Head{}, c.refusedBelow", "	if id == (changeset.ID{}) {\n		return head.Head{}, c.refusedBelow", core,
	},
	{
		"settling takes another head of the revision for its own", "settle.go",
		"if first.Parent != h.ID {", "if false {", core,
	},
	{
		"settling does not look at the index that the objects were built on", "settle.go",
		"if first.Ancestors != h.Ancestors {", "if false {", core,
	},
	{
		"settling does not check the links of an append", "settle.go",
		"if err := first.VerifyLink(info.Header); err != nil {", "if err := first.VerifyLink(info.Header); false && err != nil {", core,
	},
	{
		"updating decides an uncertain append again", "update.go",
		"if !errors.As(err, &conflict) {", "if conflict = new(ConflictError); err == nil {", core,
	},
	{
		"updating does not notice a head that went back", "refresh.go",
		"if err == nil && h.Revision < seen.Revision {", "if false {", core,
	},
}
