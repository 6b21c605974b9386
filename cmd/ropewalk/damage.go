package main

import (
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// damage collects the faults of single aggregates, for a command that goes on
// with the others. The zero damage has no faults.
type damage struct {
	ids    []string
	faults []error
}

// confined reports whether an error concerns one aggregate alone: its objects or
// its head are damaged, or can only be read by a newer version. A SQLite file
// that is damaged as a whole is an error without an aggregate.
func confined(err error) bool {
	if corrupt, ok := errors.AsType[*ropewalk.CorruptError](err); ok {
		return corrupt.Ref.AggregateID != ""
	}
	return errors.Is(err, ropewalk.ErrHeadLost) || errors.Is(err, ropewalk.ErrUnsupportedFormat)
}

func (d *damage) add(aggregateID string, err error) {
	d.ids, d.faults = append(d.ids, aggregateID), append(d.faults, err)
}

// report reports all faults, and returns the error that the command ends with;
// nil if there are no faults. The word others says how the command treated the
// other aggregates, such as "listed".
func (d *damage) report(a *app, others string) error {
	if len(d.faults) == 0 {
		return nil
	}
	for i, err := range d.faults {
		if a.JSON {
			if err := a.Emit(faultJSON(d.ids[i], a.Message(err), err)); err != nil {
				return err
			}
		} else if len(d.faults) > 1 {
			a.Warn("%v", err)
		}
	}
	err := fmt.Errorf("%w; all other aggregates were %s", d.faults[0], others)
	if n := len(d.faults); n > 1 {
		err = fmt.Errorf("%s could not be read, all others were %s; the first of them: %w", ui.Plural(int64(n), "aggregate"), others, d.faults[0])
	}
	return cliexit.WithHint(err, "see what is wrong: ropewalk verify %s", reference.Operand(d.ids[0]))
}

// faultJSON returns the fault of an aggregate as verify reports it.
func faultJSON(aggregateID, message string, err error) problemJSON {
	out := problemJSON{Kind: ui.KindOf("problem"), Aggregate: aggregateID, Reason: message}
	corrupt, ok := errors.AsType[*changeset.CorruptError](err)
	if !ok {
		return out
	}
	out.Object, out.Reason = corrupt.Object, corrupt.Reason
	if !corrupt.Ref.ID.IsZero() {
		out.Ref = corrupt.Ref.String()
	}
	return out
}
