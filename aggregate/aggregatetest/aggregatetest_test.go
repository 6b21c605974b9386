package aggregatetest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
)

func TestDecisions(t *testing.T) {
	b := aggregatetest.For(t, baskets)
	b.When(basket.pay).ThenError(errEmpty)
	full := b.Given(itemAdded{Item: "rope"})
	require.True(t, full.When(basket.pay).Then(paid{"card"}).State().Paid)
	full.Given(paid{"card"}).When(basket.pay).Then()
	b.When(basket.pay).ThenError(errEmpty) // Given has left the spec as it was
}

func TestGolden(t *testing.T) {
	aggregatetest.For(t, baskets).Golden("testdata/basket", paid{"card"})
}

// Every case that must fail a test does.
func TestFailures(t *testing.T) {
	renamed := baskets
	renamed.Events = aggregate.Events[event]{"thing-added": itemAdded{}, "paid": paid{}}
	upcast := renamed
	upcast.Upcasters = []aggregate.Upcaster{aggregate.Rename("item-added", "thing-added")}
	type paidBy struct{ paid }
	reshaped := baskets
	reshaped.Events = aggregate.Events[event]{"item-added": itemAdded{}, "paid": paidBy{}}
	secretive := baskets
	secretive.Events = aggregate.Events[event]{"secret": &secret{hidden: nil}}
	hidden := baskets
	hidden.Codec = forgetful{aggregate.JSON[event]()}

	for name, c := range map[string]struct {
		run  func(*testing.T, testing.TB)
		says string
	}{
		"other events": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Given(itemAdded{}).When(basket.pay).Then(paid{"cash"})
		}, "the events that were decided"},
		"no events": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Given(itemAdded{}).When(basket.pay).Then()
		}, "the events that were decided"},
		"an error instead of events": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).When(basket.pay).Then(paid{"card"})
		}, "the basket is empty"},
		"events instead of an error": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Given(itemAdded{}).When(basket.pay).ThenError(errEmpty)
		}, "the decision"},
		"another error": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).When(basket.pay).ThenError(os.ErrClosed)
		}, "the decision"},
		"an event that its stored form loses": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, hidden).Given(itemAdded{}).When(basket.pay).Then(paid{"card"})
		}, "paid.Method would not come back"},
		"an event with a field that JSON does not store": {func(t *testing.T, tb testing.TB) {
			t.Setenv(aggregatetest.Update, "1")
			aggregatetest.For(tb, secretive).Golden(t.TempDir())
		}, "secret.hidden would not come back"},
		"an event with text that JSON changes": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Given(paid{"\xff"})
		}, "paid.Method would not come back"},
		"an event without a name": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Given(paidBy{})
		}, "not among the Events"},
		"a type that cannot be used": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, aggregate.Type[basket, event]{})
		}, "it needs a Name"},
		"an event that was renamed": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, renamed).Golden("testdata/basket", paid{"card"})
		}, "not pinned yet"},
		"an event that was renamed and pinned, without an upcaster": {func(t *testing.T, tb testing.TB) {
			pinned(t, upcast, func(dir string) { aggregatetest.For(tb, renamed).Golden(dir, paid{"card"}) })
		}, "add an upcaster"},
		"an event that was reshaped": {func(_ *testing.T, tb testing.TB) {
			aggregatetest.For(tb, reshaped).Golden("testdata/basket", paidBy{paid{"cash"}})
		}, "stored in another form"},
		"a golden file that is missing": {func(t *testing.T, tb testing.TB) {
			aggregatetest.For(tb, baskets).Golden(t.TempDir())
		}, "not pinned yet"},
	} {
		t.Run(name, func(t *testing.T) {
			f := failure(t, c.run)
			require.Contains(t, f, c.says)
		})
	}
	pinned(t, upcast, func(dir string) { aggregatetest.For(t, upcast).Golden(dir, paid{"card"}) })
}

// pinned runs with a folder that pins the events of a type and of the baskets.
func pinned(t *testing.T, typ aggregate.Type[basket, event], run func(dir string)) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/basket")))
	t.Setenv(aggregatetest.Update, "1")
	aggregatetest.For(t, typ).Golden(dir, paid{"card"})
	t.Setenv(aggregatetest.Update, "")
	require.FileExists(t, filepath.Join(dir, "item-added.json"))
	require.FileExists(t, filepath.Join(dir, "thing-added.json"))
	run(dir)
}

// secret is an event with a field that JSON does not store.
type secret struct{ hidden []int }

func (*secret) happened() {}

// A time comes back equal, although its clock reading and its zone do not.
func TestTimesComeBackEqual(t *testing.T) {
	now := time.Now()
	typ := baskets
	typ.Events = aggregate.Events[event]{"item-added": itemAdded{}}
	aggregatetest.For(t, typ).When(func(basket) ([]event, error) {
		return []event{itemAdded{Since: &now}}, nil
	}).Then(itemAdded{Since: &now})
}

// forgetful is a codec that loses what events hold.
type forgetful struct{ aggregate.Codec[event] }

func (forgetful) Encode(event) ([]byte, error) { return []byte("{}"), nil }

// recorder takes the failures of a test, and ends it as testing does.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Errorf(format string, a ...any) { r.failure += fmt.Sprintf(format, a...) }
func (r *recorder) FailNow()                       { runtime.Goexit() }

// failure returns what a run says that must fail.
func failure(t *testing.T, run func(*testing.T, testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(t, r)
	}()
	<-done
	require.NotEmpty(t, r.failure, "it did not fail")
	return r.failure
}

func TestStorageForcesAConflict(t *testing.T) {
	s := aggregatetest.NewStorage(nil)
	repo, rival := aggregate.New(s.Store, baskets, nil), aggregate.New(s.Direct, baskets, nil)
	read, err := repo.Create(t.Context(), "b", []event{itemAdded{Item: "rope"}})
	require.NoError(t, err)
	add := func() {
		_, err := rival.Save(t.Context(), read, []event{itemAdded{Item: "hook"}})
		require.NoError(t, err)
	}
	s.BeforeNextSave(add)
	_, err = repo.Save(t.Context(), read, []event{paid{"card"}})
	require.ErrorAs(t, err, new(*ropewalk.ConflictError))
	now, err := repo.Load(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, basket{Items: []string{"rope", "hook"}}, now.State)
}

func TestStorageLosesAReply(t *testing.T) {
	s := aggregatetest.NewStorage(nil)
	repo := aggregate.New(s.Store, baskets, nil)
	s.LoseReply()
	b, err := repo.Create(t.Context(), "b", []event{itemAdded{Item: "rope"}})
	require.NoError(t, err)
	require.Equal(t, uint64(0), b.Head.Version)
	require.Len(t, s.Script.Log(), 4, "the put, the swap, that its reply was lost, and the head that was looked up")
}

func TestStorageStaysUncertain(t *testing.T) {
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprint(committed), func(t *testing.T) {
			s := aggregatetest.NewStorage(nil)
			repo := aggregate.New(s.Store, baskets, nil)
			back := s.Uncertain(committed)
			_, err := repo.Create(t.Context(), "b", []event{itemAdded{Item: "rope"}})
			var uncertain *ropewalk.UncertainError
			require.ErrorAs(t, err, &uncertain)
			_, err = aggregate.New(s.Direct, baskets, nil).Load(t.Context(), "b")
			require.Equal(t, !committed, errors.Is(err, ropewalk.ErrNotFound))
			back()
			_, err = s.Store.Chain("b").Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
			if !committed {
				require.ErrorAs(t, err, &uncertain, "there is no head yet: another attempt decides")
				_, err = repo.Create(t.Context(), "b", []event{itemAdded{Item: "twine"}})
				require.NoError(t, err)
				_, err = s.Store.Chain("b").Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
				require.ErrorAs(t, err, new(*ropewalk.ConflictError))
				return
			}
			require.NoError(t, err)
			b, err := repo.Load(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, []string{"rope"}, b.State.Items)
		})
	}
}
