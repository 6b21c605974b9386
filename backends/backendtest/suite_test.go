package backendtest

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// breakage is a way to break a contract that one check must notice.
type breakage struct {
	caughtBy func(testing.TB, Harness)
	name     string
	inject   func(b *broken)
}

func TestBreakagesAreCaught(t *testing.T) {
	for _, breakage := range allBreakages() {
		t.Run(breakage.name, func(t *testing.T) {
			failure := outcome(t, breakage.caughtBy, harness(breakage.inject))
			require.NotEmpty(t, failure, "not caught")
			t.Log(failure)
		})
	}
}

func TestEveryCheckCatchesABreakage(t *testing.T) {
	catching := map[uintptr]bool{}
	for _, b := range allBreakages() {
		catching[reflect.ValueOf(b.caughtBy).Pointer()] = true
	}
	for _, c := range allChecks() {
		require.True(t, catching[reflect.ValueOf(c.run).Pointer()], "nothing shows that this check can fail: %s", c.name)
	}
}

func TestNothingIsCaughtWhereNothingIsBroken(t *testing.T) {
	for _, c := range allChecks() {
		require.Empty(t, outcome(t, c.run, harness(func(*broken) {})), c.name)
	}
}

// The format's bound is 2,024 bytes. The content encoding takes 27 of them, and
// format 1 has no content encoding.
func TestWorstMetadataIsTheWorst(t *testing.T) {
	metadata, err := changeset.Encode(worst(t).Header, changeset.Hyphenated)
	require.NoError(t, err)
	require.Equal(t, 2024-27, metadataSize(metadata))
}

// S3 takes 2,048 bytes. A number of objects may have 15 digits more.
func TestWorstPackMetadataFits(t *testing.T) {
	require.Len(t, fullObjectIndex().Packed(), changeset.MaxObjectIndexSize)
	var sizes []int
	for _, c := range worstPacks(t) {
		metadata, err := changeset.Encode(c.Header, changeset.Hyphenated)
		require.NoError(t, err)
		sizes = append(sizes, metadataSize(metadata))
	}
	require.Equal(t, []int{1466, 1830}, sizes)
}

// metadataSize counts as strict S3 servers do, with the prefixes of the keys.
func metadataSize(metadata map[string]string) (size int) {
	for key, value := range metadata {
		size += len("x-amz-meta-") + len(key) + len(value)
	}
	return size
}

func allBreakages() []breakage {
	var all []breakage
	for _, group := range [][]breakage{putBreakages, getBreakages, manyBreakages, rangeBreakages, contentBreakages, contextBreakages, midwayBreakages, listingBreakages, scanBreakages, deleteBreakages, swapBreakages, refreshBreakages, recordBreakages, conflictBreakages, raceBreakages, headListBreakages, tagBreakages, combinedBreakages, logBreakages, followBreakages, packBreakages, packedHeadBreakages, voidBreakages, moveBreakages, transactorBreakages} {
		all = append(all, group...)
	}
	return all
}

func allChecks() []check {
	return concat(changesetChecks(), headChecks(), combinedChecks(), transactorChecks(), logChecks())
}

// harness reaches a new store whose handles are broken.
func harness(inject func(b *broken)) Harness {
	s := memstore.New()
	all := &shared{}
	open := func() *broken {
		b := newBroken(s, all)
		inject(b)
		return b
	}
	return Harness{
		Changesets: func(testing.TB) changeset.Store { return open() },
		Heads:      func(testing.TB) head.Store { return open() },
		MaxContent: 2 << 20,
		Racers:     4,
		Rounds:     3,
		InjectUnknownField: func(_ testing.TB, aggregateID string) {
			s.Tamper(func(all *memstore.Contents) {
				record := all.Heads[head.ObjectName(aggregateID)]
				all.Heads[head.ObjectName(aggregateID)] = append(bytes.TrimSuffix(record, []byte("}")), `,"zone":"north"}`...)
			})
		},
		CorruptHead: func(_ testing.TB, aggregateID string) func() {
			flip := func(all *memstore.Contents) { all.Heads[head.ObjectName(aggregateID)][0] ^= 1 }
			s.Tamper(flip)
			return func() { s.Tamper(flip) }
		},
		CorruptObject: func(_ testing.TB, ref changeset.Ref) {
			s.Tamper(func(all *memstore.Contents) { delete(all.Objects[ref.ObjectName()].Metadata, "digest") })
		},
		PutForeign: func(_ testing.TB, name string) {
			s.Tamper(func(all *memstore.Contents) { all.Objects[name] = &memstore.Object{} })
		},
	}
}

// outcome runs a check, in virtual time, and returns why it fails; "" if it passes.
func outcome(t *testing.T, check func(testing.TB, Harness), h Harness) string {
	r := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if p := recover(); p != nil {
					r.failure = fmt.Sprint("panic: ", p)
				}
			}()
			check(r, h.withDefaults())
		}()
		<-done
	})
	return r.failure
}

// recorder is a test whose failure is a result. Only the check's own goroutine
// may fail it.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Errorf(format string, args ...any) { r.failure += fmt.Sprintf(format, args...) }

func (r *recorder) FailNow() {
	r.failure += "\n"
	runtime.Goexit()
}

// Skip and Skipf fail: here nothing is to be skipped.
func (r *recorder) Skip(args ...any) { r.Skipf("%s", fmt.Sprint(args...)) }

func (r *recorder) Skipf(format string, args ...any) {
	r.Errorf("skipped: "+format, args...)
	r.FailNow()
}
