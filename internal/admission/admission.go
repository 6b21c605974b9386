// Package admission helps stores that may read one changeset more than once for
// one Get.
package admission

import (
	"sync"

	"ropewalk/changeset"
)

// Once returns an admission for all reads on behalf of one Get: the first read
// that asks asks the caller's admission, and all reads get its answer, so that
// one content is admitted once. The function reports whether it was refused.
func Once(admission changeset.Admission) (once changeset.Admission, refused func() bool) {
	if admission == nil {
		return nil, func() bool { return false }
	}
	var mu sync.Mutex
	var asked bool
	var verdict error
	once = func(h changeset.Header) error {
		mu.Lock()
		defer mu.Unlock()
		if !asked {
			asked, verdict = true, admission(h)
		}
		return verdict
	}
	return once, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return verdict != nil
	}
}
