package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// form is which of the forms a reference has.
type form int

const (
	bare    form = iota // ID
	single              // ID@7
	exact               // ID@7.UUID, or the end of the UUID
	between             // ID@2..5
	onward              // ID@5..
	asOf                // ID@{2026-01-31}
)

// reference is what a person writes to name a chain, a changeset or a range of
// them.
type reference struct {
	id          string
	form        form
	first, last uint64 // single and exact: both the version; onward: first alone
	uuid        string // exact: the UUID or its end
	at          time.Time
}

var (
	versionForm = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
	exactForm   = regexp.MustCompile(`^(0|[1-9][0-9]*)\.…?([0-9a-f-]+)$`)
	rangeForm   = regexp.MustCompile(`^(0|[1-9][0-9]*)\.\.(0|[1-9][0-9]*|)$`)
	timeForm    = regexp.MustCompile(`^\{([0-9].*)\}$`)
)

// parseReference splits s at its last @ if what follows has one of the forms;
// otherwise all of it is an aggregate ID. Its errors are failures of usage.
func parseReference(s string) (reference, error) {
	r := reference{id: s}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		matched, err := r.parse(s[at+1:])
		if err != nil {
			return r, cliexit.Usagef("%q: %w", s, err)
		}
		if matched {
			r.id = s[:at]
		}
	}
	return r, changeset.ValidateAggregateID(r.id)
}

// parse reads what follows the @, and reports whether it has one of the forms.
func (r *reference) parse(s string) (matched bool, err error) {
	if s == "" {
		return true, nil
	}
	if m := versionForm.FindStringSubmatch(s); m != nil {
		r.form = single
		r.first, err = parseVersion(m[1])
		r.last = r.first
		return true, err
	}
	if m := exactForm.FindStringSubmatch(s); m != nil {
		r.form, r.uuid = exact, m[2]
		r.first, err = parseVersion(m[1])
		r.last = r.first
		return true, err
	}
	if m := rangeForm.FindStringSubmatch(s); m != nil {
		return true, r.parseRange(m[1], m[2])
	}
	if m := timeForm.FindStringSubmatch(s); m != nil {
		r.form = asOf
		r.at, err = parseMoment(m[1])
		return true, err
	}
	return false, nil
}

func (r *reference) parseRange(first, last string) (err error) {
	r.form = onward
	if r.first, err = parseVersion(first); err != nil || last == "" {
		return err
	}
	r.form = between
	if r.last, err = parseVersion(last); err == nil && r.last < r.first {
		err = fmt.Errorf("the range begins behind its end")
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

// parseMoment reads a time of RFC 3339, or a date, which means its last
// nanosecond in UTC.
func parseMoment(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, 1).Add(-1), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date like 2026-01-31 nor a time like 2026-01-31T09:30:00Z", s)
	}
	return t.UTC(), nil
}

// parseID reads an argument that must name an aggregate and nothing more.
func parseID(s string) (string, error) {
	r, err := parseReference(s)
	if err == nil && r.form != bare {
		err = cliexit.WithHint(cliexit.Usagef("%q names a version; an aggregate ID alone is wanted", s), "if that is the ID, write %s", ui.Operand(s+"@"))
	}
	return r.id, err
}

// likeReference matches what follows the @ of a reference that was meant to
// have a form, and has no known form. Few IDs end so, unlike alice@example.com.
var likeReference = regexp.MustCompile(`^(\{.*|-[0-9]+|\.\.[0-9]*|[0-9]+\.\..*|[0-9]+-[0-9]+)$`)

const referenceForms = "ID@7, ID@7.UUID, ID@2..5, ID@5.. and ID@{2026-01-31}"

// parseNewID reads an argument that may name an aggregate for the first time.
// An ID that looks like a reference must be marked by an @ at its end, so that
// a slip does not begin a chain.
func parseNewID(s string) (string, error) {
	id, err := parseID(s)
	if at := strings.LastIndexByte(s, '@'); err == nil && at >= 0 && likeReference.MatchString(s[at+1:]) {
		err = cliexit.WithHint(cliexit.Usagef("%q looks like a reference, but has no form of one: %s", s, referenceForms),
			"if that is the ID, write %s", ui.Operand(s+"@"))
	}
	return id, err
}

// explainReference adds a hint to the error of an aggregate that was not found,
// if its ID was perhaps meant to be a reference.
func explainReference(args []string, err error) error {
	if !errors.Is(err, ropewalk.ErrNotFound) || hintFor(err) != "" {
		return err
	}
	for _, arg := range args {
		r, parsed := parseReference(arg)
		if parsed == nil && r.form == bare && r.id == arg && strings.Contains(arg, "@") && strings.Contains(err.Error(), arg) {
			return cliexit.WithHint(err, "%s was taken as an aggregate ID; references to its changesets have the forms %s", ui.Quote(arg), referenceForms)
		}
	}
	return err
}

// idArgument returns what a person writes to name the aggregate, whatever its
// ID looks like.
func idArgument(id string) string {
	if r, err := parseReference(id); err != nil || r.id != id || r.form != bare {
		return id + "@"
	}
	return id
}
