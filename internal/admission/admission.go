// Package admission helps stores that stand before others, and may read one
// changeset more than once for one Get.
package admission

import (
	"context"
	"sync"

	"ropewalk/changeset"
)

// Once returns a context for all reads on behalf of one Get: whichever of them
// asks first asks the caller's admission, and all of them get its answer, so
// that one content is admitted once. The function reports whether it was refused.
func Once(ctx context.Context) (once context.Context, refused func() bool) {
	var mu sync.Mutex
	var asked bool
	var verdict error
	once = changeset.WithAdmission(ctx, func(h changeset.Header) error {
		mu.Lock()
		defer mu.Unlock()
		if !asked {
			asked, verdict = true, changeset.Admit(ctx, h)
		}
		return verdict
	})
	return once, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return asked && verdict != nil
	}
}
