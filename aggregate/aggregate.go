// Package aggregate keeps event-sourced aggregates in chains of package
// ropewalk: typed events, state that is folded from them, snapshots.
//
// An aggregate is plain Go. Its events are structs, its state is any value,
// and one pure function makes the next state out of a state and an event:
//
//	type Event interface{ isEvent() }
//	type Opened struct{ Owner string }
//	type Deposited struct{ Cents int64 }
//	…
//	var accounts = aggregate.Type[Account, Event]{
//		Name:   "account",
//		Events: aggregate.Events[Event]{"opened": Opened{}, "deposited": Deposited{}},
//		Evolve: func(a Account, e Event) Account {
//			switch e := e.(type) {
//			case Opened:
//				a.Owner = e.Owner
//			case Deposited:
//				a.Cents += e.Cents
//			}
//			return a
//		},
//	}
//
// A [Repository] loads aggregates and saves their events:
//
//	repo := aggregate.New(store, accounts, nil)
//	a, err := repo.Create(ctx, "account-7", []Event{Opened{"ann"}})
//	a, err = repo.Save(ctx, a, []Event{Deposited{100}})      // one attempt, on the state that was read
//	a, err = repo.Update(ctx, "account-7", decide)           // load, decide, save: again on a conflict
//
// The events of one Save are atomic: they are one changeset, and its content
// is NDJSON, one event a line, that any tool reads as it lies in the bucket:
//
//	{"type":"deposited","id":"0199…","time":"2026-…Z","data":{"Cents":100},"meta":{"correlation":"91c2"}}
//
// A Save has the outcomes of an append: done; refused for good, with a
// *ropewalk.ConflictError; or uncertain, with a *ropewalk.UncertainError that
// Settle ends. Nothing is guessed. With [Once] a command happens once, however
// often it is sent.
//
// [Commit] saves changes of several aggregates, of the same type or of different types, all
// or none.
//
// With [Snapshots] a load reads the head, and then, at once, the newest
// snapshot and the changesets after it. A snapshot is never needed and never
// believed blindly: what is missing or does not fit is passed over.
//
// Package aggregatetest tests aggregates without storage.
package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"
)

// Type says what an aggregate is. It is plain data: define it once, as a
// package variable. S is its state, whose zero value is the state before the
// first event; E is its event: an interface that its event structs implement,
// or one struct.
type Type[S, E any] struct {
	// Name is what errors and logs call the aggregate, such as "order".
	Name string
	// Evolve returns the state after an event. It must be pure: it reads no
	// clock and has no effect, and it does not change maps or slices that the
	// old state holds, but makes new ones. It is never called concurrently for
	// one load.
	Evolve func(S, E) S
	// Events names every event as it is stored.
	Events Events[E]
	// Upcasters turn events of earlier versions of the program into present
	// ones, in this order, whenever events are read.
	Upcasters []Upcaster
	// Codec encodes the data of events; nil means JSON.
	Codec Codec[E]
	// Snapshots says whether and how states are kept; the zero value: not at all.
	Snapshots Snapshots[S]
	// Unknown, if not nil, may return an event for a stored one whose name is
	// not in Events, such as one that keeps it raw, or one that a newer program
	// has written. If it returns false, or is nil, reading ends with an
	// [*UnknownEventError].
	Unknown func(Raw) (E, bool)
}

// Events maps the names of events, as they are stored, to values of their Go
// types, so that the compiler checks that each is an event. A name is stored
// for good: to change it, add an [Upcaster] from the old name. If the form of
// an event changes, a version in the name, such as "line-added@2", keeps the
// forms apart.
//
// An event is decoded into a copy of the value here, so that a field which is
// set here is the default for one that is not stored. JSON adds to a map that it
// finds, so a default should not be a map. If several names share a Go type,
// that type must be [Named].
type Events[E any] map[string]E

// Named is an event that knows its own name: needed where several names of
// [Events] share one Go type.
type Named interface {
	// EventName must return one of the names in Events.
	EventName() string
}

// Fold returns the state after the events.
func (t Type[S, E]) Fold(state S, events ...E) S {
	for _, event := range events {
		state = t.Evolve(state, event)
	}
	return state
}

// Encode returns the stored form of records: NDJSON, one a line. Of a record
// it reads the event, the ID, the time and the metadata. It fails, as a Save
// does, if any of these would not come back equal.
func (t Type[S, E]) Encode(records ...Recorded[E]) ([]byte, error) {
	p, err := t.plan()
	if err != nil {
		return nil, err
	}
	content, _, err := p.encode(records)
	return content, err
}

// Decode reads what Encode has written, now or in an earlier version of the
// program: upcasters are applied. Its errors are a [*DecodeError] or an
// [*UnknownEventError].
func (t Type[S, E]) Decode(content []byte) ([]Recorded[E], error) {
	p, err := t.plan()
	if err != nil {
		return nil, err
	}
	return p.decode(content)
}

// Check says what makes the type unusable, nil if nothing does. [New] panics
// with it.
func (t Type[S, E]) Check() error {
	_, err := t.plan()
	return err
}

// plan is a type that was checked, ready for use by many goroutines.
type plan[S, E any] struct {
	Type[S, E]
	names map[reflect.Type][]string
}

func (t Type[S, E]) plan() (*plan[S, E], error) {
	p := &plan[S, E]{Type: t, names: map[reflect.Type][]string{}}
	if p.Codec == nil {
		p.Codec = JSON[E]()
	}
	if err := errors.Join(p.checkNames(), p.Snapshots.check()); err != nil {
		return nil, fmt.Errorf("aggregate type %q: %w", t.Name, err)
	}
	return p, nil
}

func (p *plan[S, E]) checkNames() error {
	if p.Name == "" || p.Evolve == nil || len(p.Events) == 0 {
		return errors.New("it needs a Name, Evolve and Events")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Events)) {
		of := reflect.TypeOf(p.Events[name])
		if name == "" || of == nil {
			return fmt.Errorf("event %q has no name or no value", name)
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("the event name %q is not UTF-8", name)
		}
		if p.names[of] = append(p.names[of], name); len(p.names[of]) > 1 && !of.Implements(reflect.TypeFor[Named]()) {
			return fmt.Errorf("events %q share the type %s, which must be Named", p.names[of], of)
		}
	}
	for _, u := range p.Upcasters {
		if u.From == "" || u.To == nil {
			return fmt.Errorf("the upcaster from %q lacks From or To", u.From)
		}
	}
	return nil
}

// nameOf returns the name under which an event is stored.
func (p *plan[S, E]) nameOf(event E) (string, error) {
	names := p.names[reflect.TypeOf(event)]
	if len(names) == 0 {
		return "", fmt.Errorf("an event of type %T is not among the Events of %q", event, p.Name)
	}
	if len(names) == 1 {
		return names[0], nil
	}
	name := any(event).(Named).EventName()
	if !slices.Contains(names, name) {
		return "", fmt.Errorf("an event of type %T calls itself %q, which is not among its names in Events of %q", event, name, p.Name)
	}
	return name, nil
}
