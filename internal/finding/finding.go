// Package finding holds what the backends report to people about a storage's
// setup: the findings of a check, and the errors that only a change of the
// setup ends. Each backend gives both types a name of its own.
package finding

// Finding is one result of a backend's Check.
type Finding struct {
	// Name says what was looked at, or what was claimed: "bucket orders", "no TTL".
	Name string
	// OK is false where something is missing, dangerous, or could not be looked at.
	OK bool
	// Detail says what was found, in a few words; it may be empty where OK is true.
	Detail string
	// Hint says what to do; empty where nothing needs to be done.
	Hint string
}

// String returns the name and what was found: "versioning on", "no TTL".
func (f Finding) String() string {
	switch {
	case f.Detail == "":
		return f.Name
	case f.OK:
		return f.Name + " " + f.Detail
	default:
		return f.Name + ": " + f.Detail
	}
}

// SetupError says that a request cannot succeed until the setup changes: a
// bucket or table is missing, rights or credentials are, or an endpoint cannot
// be reached.
type SetupError struct {
	// What describes the problem, in one line.
	What string
	// Hint says what to do.
	Hint string
	// Kind is an error that this one matches, or nil.
	Kind error
	// Err is the cause, or nil.
	Err error
}

// Error returns what is wrong and the cause, without the hint.
func (e *SetupError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SetupError) Unwrap() error { return e.Err }

// Is reports whether target is the kind of the error.
func (e *SetupError) Is(target error) bool { return e.Kind != nil && target == e.Kind }
