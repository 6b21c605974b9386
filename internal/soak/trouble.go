package soak

import (
	"math/rand/v2"
	"time"

	"ropewalk/faults"
)

// trouble chooses what goes wrong in one history. Its methods are called one
// at a time: the script sees to that.
type trouble struct {
	rand  *rand.Rand
	unit  time.Duration
	oneIn int // requests of so many one goes wrong; 0 for none
	storm int // how many more requests are throttled, or dropped
	count map[string]int
	// outage says that the storm is one in which nothing arrives.
	outage bool
}

// maxLate is how many units late a late request is at most.
const maxLate = 10

func newTrouble(seed uint64, unit time.Duration) *trouble {
	return &trouble{
		rand: rand.New(rand.NewPCG(seed, 1)), unit: unit,
		oneIn: []int{0, 12, 6, 4, 3}[seed%5], count: map[string]int{},
	}
}

// fault is a function for [faults.Script.Draw].
func (t *trouble) fault(faults.Op, int) faults.Fault {
	f := faults.Fault{DelayBefore: t.upTo(t.unit / 25), DelayAfter: t.upTo(t.unit / 25)}
	if t.storm > 0 {
		t.storm--
		return t.stormy(f)
	}
	if t.oneIn == 0 || t.rand.IntN(t.oneIn) > 0 {
		return f
	}
	switch t.rand.IntN(10) {
	case 0:
		return t.counted(f, faults.Dropped, "dropped")
	case 1, 2:
		return t.counted(f, faults.Lost, "reply lost")
	case 3, 4:
		t.late(&f)
		return t.counted(f, faults.Late, "late")
	case 5:
		return t.refused(f, false)
	case 6, 7:
		t.storm, t.outage = t.rand.IntN(12), t.rand.IntN(2) == 0
		return t.stormy(f)
	case 8:
		kinds := []faults.Kind{faults.HangBefore, faults.HangAfter}
		return t.counted(f, kinds[t.rand.IntN(2)], "hung")
	default:
		f.DelayBefore, f.DelayAfter = t.upTo(2*t.unit), t.upTo(2*t.unit)
		return t.counted(f, faults.None, "delayed")
	}
}

func (t *trouble) counted(f faults.Fault, kind faults.Kind, name string) faults.Fault {
	f.Kind = kind
	t.count[name]++
	return f
}

func (t *trouble) stormy(f faults.Fault) faults.Fault {
	if t.outage {
		return t.counted(f, faults.Dropped, "dropped")
	}
	return t.refused(f, true)
}

func (t *trouble) refused(f faults.Fault, throttled bool) faults.Fault {
	f.Retryable = throttled
	if throttled {
		return t.counted(f, faults.Refused, "throttled")
	}
	return t.counted(f, faults.Refused, "refused")
}

// late lets a request take effect after a while, after another request, or
// when all else is over.
func (t *trouble) late(f *faults.Fault) {
	switch t.rand.IntN(4) {
	case 0:
		f.LateUntil = faults.Op(1 + t.rand.IntN(int(faults.Commit)))
		f.LateNth = t.rand.IntN(4)
	case 1: // at the end
	default:
		f.LateBy = time.Millisecond + t.upTo((maxLate-1)*t.unit)
	}
}

func (t *trouble) upTo(d time.Duration) time.Duration { return time.Duration(t.rand.Int64N(int64(d))) }
