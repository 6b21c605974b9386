package main

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/head"
	"ropewalk/inspect"
)

// tipJSON is a changeset that a rebuilt head could name.
type tipJSON struct {
	Ref           string `json:"ref"`
	Digest        string `json:"digest"`
	AfterRevision uint64 `json:"after_revision"`
	RecordedAt    string `json:"recorded_at"`
	// Under is the tip whose append was built on this one.
	Under string `json:"under,omitempty"`
}

// rebuildJSON is the plan of rebuild-head with --json.
type rebuildJSON struct {
	ui.Kind
	Aggregate string `json:"aggregate"`
	// Condition is the condition of the head.
	Condition string `json:"condition"`
	// Head is the head as it is, absent if the chain has no head.
	Head *pointJSON `json:"head,omitempty"`
	// Certain says that there has been a head.
	Certain bool `json:"certain"`
	// Packed says that the chain is packed: changesets were lost with the lost head's tip.
	Packed bool      `json:"packed,omitempty"`
	Tips   []tipJSON `json:"tips"`
	// At is the tip that the new head names, absent where that is not decided.
	At string `json:"at,omitempty"`
	// Revision is the new head's revision.
	Revision uint64 `json:"revision,omitempty"`
	// Beyond counts the objects above all tips that could not be proved.
	Beyond int `json:"beyond"`
	// Commits are the commits that other chains have and that stored changesets are parts of.
	Commits []committedJSON `json:"commits,omitempty"`
	// Unknown says what cannot be known.
	Unknown []string `json:"unknown,omitempty"`
}

// committedJSON is a commit of several aggregates that other chains have.
type committedJSON struct {
	Commit  string   `json:"commit"`
	Members int      `json:"members"`
	In      []string `json:"in"`
	Outside []string `json:"outside"`
}

// rebuilding is a run of rebuild-head, with its plan.
type rebuilding struct {
	*ui.Streams
	in   *inspect.Inspector
	plan inspect.Rebuilding
	at   string // --at
	yes  bool   // --yes
}

// show says what was found, what will be written at which tip, the zero Tip
// where that is not decided, and what cannot be known.
func (r rebuilding) show(at inspect.Tip) error {
	if r.JSON {
		return r.emitPlan(at)
	}
	var b strings.Builder
	b.WriteString(r.found() + "\n")
	for _, p := range r.plan.Problems {
		b.WriteString(string(ui.Safef("%s\n", p)))
	}
	if r.plan.Condition == inspect.Standing {
		return r.Print("%s", ui.Safe(visible.Lines(b.String())))
	}
	for _, t := range r.plan.Tips {
		fmt.Fprintf(&b, "  %s  recorded %s, built on revision %d%s\n", t.Ref, ui.Seconds(t.RecordedAt), t.AfterRevision, under(t))
	}
	for _, c := range r.plan.Commits {
		fmt.Fprintf(&b, "It was committed: %s is a part of commit %s, which %s has.\n", refs(c.Outside), c.Commit.ID, refs(c.In))
	}
	if r.plan.Beyond > 0 {
		fmt.Fprintf(&b, "Above, %s could not be proved, or the append is not stored as a whole.\n", ui.Plural(int64(r.plan.Beyond), "object"))
	}
	if !at.ID.IsZero() {
		fmt.Fprintf(&b, "\nThe new head will name %s at revision %d, above every revision that a\n"+
			"stored object was built on: objects outside its chain can never enter it.\n", at.Ref, r.plan.Revision)
	}
	if len(r.plan.Tips) > 0 {
		b.WriteString("\nUnknown:\n- " + strings.Join(r.unknown(), "\n- ") + "\n\n")
	}
	return r.Print("%s", ui.Safe(visible.Lines(b.String())))
}

// under says that the append of another tip was built on a tip.
func under(t inspect.Tip) string {
	if t.Under == (changeset.Ref{}) {
		return ""
	}
	return fmt.Sprintf("; it is what %d was built on", t.Under.Version)
}

// found says what is the matter with the head.
func (r rebuilding) found() string {
	id := r.plan.AggregateID
	what := "one history"
	if n := len(r.plan.Tips); n != 1 {
		what = fmt.Sprintf("%d histories", n)
	}
	switch {
	case r.plan.Condition == inspect.Standing && r.plan.Packed:
		return fmt.Sprintf("%s has its head, %s, and no object was built beyond it: nothing to do.\n"+
			"Changesets that were in the tip of a newer head alone leave no trace.", id, headText(r.plan.Head))
	case r.plan.Condition == inspect.Standing:
		return fmt.Sprintf("%s has its head, %s, and nothing was built beyond it: nothing to do.", id, headText(r.plan.Head))
	case r.plan.Condition == inspect.Behind:
		return fmt.Sprintf("The head of %s, %s, is older than what was built on it:\n"+
			"it was restored, or appends are under way right now. Its objects prove %s beyond it:", id, headText(r.plan.Head), what)
	case r.plan.Certain:
		return fmt.Sprintf("%s has lost its head: its objects prove that it had one. They prove %s:", id, what)
	default:
		return fmt.Sprintf("%s has no head. It may never have had one: its first append may be under way, or was\n"+
			"given up. Its objects prove %s:", id, what)
	}
}

func headText(h head.Head) string {
	if h.State == head.Void {
		return fmt.Sprintf("void at revision %d", h.Revision)
	}
	return fmt.Sprintf("%s at revision %d", h.Ref, h.Revision)
}

// unknown says what cannot be known of the head that is to be written.
func (r rebuilding) unknown() []string {
	var all []string
	if r.plan.Condition == inspect.Standing || len(r.plan.Tips) == 0 {
		return nil
	}
	if len(r.plan.Tips) > 1 {
		all = append(all, "Which of these histories was committed. The others will be lost for good.")
	}
	all = append(all, "Whether the last append was ever committed: it may have been pending, or refused by a fence. It will be committed now.")
	if r.plan.Packed {
		all = append(all, "Which changesets were in the lost head alone, in its tip. They are gone, and how many there were is unknown.")
	}
	if r.plan.Condition == inspect.Behind {
		return append(all, "Whether the head went further, over objects that are no longer stored.")
	}
	return append(all,
		"Whether the head went further, over objects that are no longer stored.",
		"Whether its revision was higher, by fences. That does no harm: a swap tests revision, version, ID and digest together.",
		"Whether the aggregate was erased, and its tombstone is missing: if so, write no head.",
		"Which fields a newer version had added to the head. They are gone.",
	)
}

func (r rebuilding) emitPlan(at inspect.Tip) error {
	for _, p := range r.plan.Problems {
		if err := r.Emit(newProblemJSON(p)); err != nil {
			return err
		}
	}
	out := rebuildJSON{
		Kind: ui.KindOf("rebuild"), Aggregate: r.plan.AggregateID, Condition: r.plan.Condition.String(), Head: newPointJSON(r.plan.Head),
		Certain: r.plan.Certain, Packed: r.plan.Packed, Tips: []tipJSON{}, Revision: r.plan.Revision, Beyond: r.plan.Beyond, Unknown: r.unknown(),
	}
	for _, c := range r.plan.Commits {
		out.Commits = append(out.Commits, committedJSON{c.Commit.ID.String(), c.Commit.Members, texts(c.In), texts(c.Outside)})
	}
	for _, t := range r.plan.Tips {
		tip := tipJSON{Ref: t.Ref.String(), Digest: t.Digest.String(), AfterRevision: t.AfterRevision, RecordedAt: changeset.FormatTime(t.RecordedAt)}
		if t.Under != (changeset.Ref{}) {
			tip.Under = t.Under.String()
		}
		out.Tips = append(out.Tips, tip)
	}
	if !at.ID.IsZero() {
		out.At = at.Ref.String()
	}
	return r.Emit(out)
}
