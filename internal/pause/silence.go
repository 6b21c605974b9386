package pause

import "time"

// Silence sees by its own clock whether a value no longer changes, such as the record of an
// owner that may have died. It is not safe for concurrent use.
type Silence[T comparable] struct {
	// For is how long the value must stay the same.
	For time.Duration

	last  T
	since time.Time
}

// Lasts reports whether the value has been the same in all calls for the time.
func (s *Silence[T]) Lasts(value T) bool {
	if value != s.last || s.since.IsZero() {
		s.last, s.since = value, time.Now()
	}
	return time.Since(s.since) >= s.For
}
