package main

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

// collection are the rules of the collector.
var collection = []mutant{
	{
		"gc: what is pending goes without a fence", "collect/report.go",
		"		return pending\n", "		return lost\n", "./collect",
	},
	{
		"gc: what is ahead goes", "collect/report.go",
		"		return ahead\n", "		return lost\n", "./collect",
	},
	{
		"gc: a head that was rolled back stops nothing", "collect/collection.go",
		"if s.fate == ahead && s.age >= patience {", "if false {", "./collect",
	},
	{
		"gc: there is no grace", "collect/collection.go",
		"if f != ahead && !a.old(s.age) {", "if false {", "./collect",
	},
	{
		"gc: what is committed counts as off the chain", "collect/collection.go",
		"case at[i].ID == id:", "case false:", "./collect",
	},
	{
		"gc: where the chain is broken orphans go", "collect/collection.go",
		"at[i].fate = doubtful", "at[i].off = true", "./collect",
	},
	{
		"gc: one index is believed against the child", "collect/trail.go",
		"if err == nil && child.Parent != id {", "if false {", "./collect",
	},
	{
		"gc: a head may go back meanwhile", "collect/collection.go",
		"if h.Revision < a.head.Revision {", "if false {", "./collect",
	},
	{
		"gc: a fence may find an older head", "collect/swap.go",
		"if h.Revision < old.Revision {", "if false {", "./collect",
	},
	{
		"gc: a dry run deletes", "collect/delete.go",
		"		if a.delete {\n			group.Go", "		if true {\n			group.Go", "./collect",
	},
	{
		"erase: snapshots stay", "collect/delete.go",
		"[]string{a.id, changeset.SnapshotsOf(a.id)}", "[]string{a.id}", "./collect",
	},
	{
		"erase: the head is not swapped", "collect/erase.go",
		"head.Head.Erase, isErased)", "head.Head.Fence, func(head.Head) bool { return true || isErased(h) })", "./collect",
	},
	{
		"erase: one listing is enough", "collect/erase.go",
		"err != nil || found.Objects == 0 {", "true || found.Objects == 0 {", "./collect",
	},
}
