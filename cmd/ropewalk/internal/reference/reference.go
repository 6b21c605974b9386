// Package reference parses the references by which people name an aggregate, a
// changeset or a range of changesets: ID, ID@7, ID@7.UUID, ID@2..5, ID@5..,
// ID@{2026-01-31}, ID@{2026-01-01}..{2026-01-31} and ID@{2026-01-01}..
package reference

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// Form is the form of a reference.
type Form int

// The forms of references.
const (
	Bare    Form = iota // ID
	Single              // ID@7
	Exact               // ID@7.UUID, or the end of the UUID
	Between             // ID@2..5
	Onward              // ID@5..
	AsOf                // ID@{2026-01-31}
	Within              // ID@{2026-01-01}..{2026-01-31}, or ID@{2026-01-01}..
)

// Reference names an aggregate, a changeset or a range of changesets.
type Reference struct {
	ID          string
	Form        Form
	First, Last uint64    // the versions; the same one in Single and Exact; only First in Onward
	UUID        string    // the UUID or its end, in Exact
	At          time.Time // in AsOf; in Within the end, or the zero time
	Since       time.Time // in Within
}

// IsRange reports whether the reference names a range, which may have any number of
// changesets.
func (r Reference) IsRange() bool { return r.Form == Between || r.Form == Onward || r.Form == Within }

var (
	versionForm = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
	exactForm   = regexp.MustCompile(`^(0|[1-9][0-9]*)\.…?([0-9a-f-]+)$`)
	rangeForm   = regexp.MustCompile(`^(0|[1-9][0-9]*)\.\.(0|[1-9][0-9]*|)$`)
	timeForm    = regexp.MustCompile(`^\{([0-9][^{}]*)\}$`)
	withinForm  = regexp.MustCompile(`^\{([0-9][^{}]*)\}\.\.(?:\{([0-9][^{}]*)\})?$`)
)

// Parse splits s at its last @ if the rest has one of the forms. Otherwise s is
// an aggregate ID. Its errors have exit code 2.
func Parse(s string) (Reference, error) {
	r := Reference{ID: s}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		matched, err := r.parse(s[at+1:])
		if err != nil {
			return r, cliexit.Usagef("%q: %w", s, err)
		}
		if matched {
			r.ID = s[:at]
		}
	}
	return r, changeset.ValidateAggregateID(r.ID)
}

// parse reads the text after the @, and reports whether it has one of the forms.
func (r *Reference) parse(s string) (matched bool, err error) {
	if s == "" {
		return true, nil
	}
	if m := versionForm.FindStringSubmatch(s); m != nil {
		r.Form = Single
		r.First, err = parseVersion(m[1])
		r.Last = r.First
		return true, err
	}
	if m := exactForm.FindStringSubmatch(s); m != nil {
		r.Form, r.UUID = Exact, m[2]
		r.First, err = parseVersion(m[1])
		r.Last = r.First
		return true, err
	}
	if m := rangeForm.FindStringSubmatch(s); m != nil {
		return true, r.parseRange(m[1], m[2])
	}
	if m := timeForm.FindStringSubmatch(s); m != nil {
		r.Form = AsOf
		r.At, err = ParseUntil(m[1])
		return true, err
	}
	if m := withinForm.FindStringSubmatch(s); m != nil {
		return true, r.parseWithin(m[1], m[2])
	}
	return false, nil
}

func (r *Reference) parseRange(first, last string) (err error) {
	r.Form = Onward
	if r.First, err = parseVersion(first); err != nil || last == "" {
		return err
	}
	r.Form = Between
	if r.Last, err = parseVersion(last); err == nil && r.Last < r.First {
		err = fmt.Errorf("the range begins after its end")
	}
	return err
}

func parseVersion(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is beyond all versions", s)
	}
	return v, nil
}

func (r *Reference) parseWithin(since, until string) (err error) {
	r.Form = Within
	if r.Since, err = ParseSince(since); err != nil || until == "" {
		return err
	}
	if r.At, err = ParseUntil(until); err == nil && r.At.Before(r.Since) {
		err = fmt.Errorf("the range begins after its end")
	}
	return err
}

// ParseSince reads the time at which something begins: a time of RFC 3339, or a date,
// which means its first nanosecond in UTC.
func ParseSince(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date like 2026-01-31 nor a time like 2026-01-31T09:30:00Z", s)
	}
	return t.UTC(), nil
}

// ParseUntil is [ParseSince] for the time at which something ends: a date means its last
// nanosecond.
func ParseUntil(s string) (time.Time, error) {
	t, err := ParseSince(s)
	if err == nil && len(s) == len(time.DateOnly) {
		t = t.AddDate(0, 0, 1).Add(-1)
	}
	return t, err
}

// ParseID reads an argument that must be the ID of an aggregate.
func ParseID(s string) (string, error) {
	r, err := Parse(s)
	if err == nil && r.Form != Bare {
		err = cliexit.WithHint(cliexit.Usagef("%q names a version; give the aggregate ID alone", s), "if that is the ID, write %s", ui.Operand(s+"@"))
	}
	return r.ID, err
}

// likeReference matches text after an @ that looks like a form and is not one.
// Few IDs end like this, unlike alice@example.com.
var likeReference = regexp.MustCompile(`^(\{.*|-[0-9]+|\.\.[0-9]*|[0-9]+\.\..*|[0-9]+-[0-9]+)$`)

// Forms lists the forms of references to changesets, for messages.
const Forms = "ID@7, ID@7.UUID, ID@2..5, ID@5.., ID@{2026-01-31} and ID@{2026-01-01}..{2026-01-31}"

// ParseNewID reads an argument that may name an aggregate for the first time.
// An ID that looks like a reference must be marked by an @ at its end, so that
// a slip does not begin a chain.
func ParseNewID(s string) (string, error) {
	id, err := ParseID(s)
	if at := strings.LastIndexByte(s, '@'); err == nil && at >= 0 && likeReference.MatchString(s[at+1:]) {
		err = cliexit.WithHint(cliexit.Usagef("%q looks like a reference, but references have the forms %s", s, Forms),
			"if that is the ID, write %s", ui.Operand(s+"@"))
	}
	return id, err
}

// ParseIDs reads arguments that must be IDs of aggregates.
func ParseIDs(args []string) (ids []string, err error) {
	for _, arg := range args {
		id, err := ParseID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Argument returns the argument that names an aggregate. An ID that itself looks
// like a reference gets an @ at its end.
func Argument(id string) string {
	if r, err := Parse(id); err != nil || r.ID != id || r.Form != Bare {
		return id + "@"
	}
	return id
}

// Operand returns the argument that names an aggregate, quoted for the end of a
// command line.
func Operand(id string) string { return ui.Operand(Argument(id)) }

// ParseAfter reads the value of --after: a version, a reference to a changeset
// of the aggregate, or an ETag. The shell may have removed the quotes of an ETag.
func ParseAfter(id, s string) (Reference, error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
	r := Reference{ID: id}
	if matched, err := r.parse(inner); matched && err == nil && (r.Form == Single || r.Form == Exact) {
		return r, nil
	}
	r, err := Parse(s)
	if err != nil || r.Form != Single && r.Form != Exact {
		return r, cliexit.Usagef("--after %s: want a version, a reference to a changeset, or an ETag", ui.Quote(s))
	}
	if r.ID != id {
		return r, cliexit.Usagef("--after %s: not a changeset of %q", ui.Quote(s), id)
	}
	return r, nil
}
