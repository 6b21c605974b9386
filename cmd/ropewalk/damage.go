package main

import (
	"errors"
	"fmt"
	"slices"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// damage collects the faults of single aggregates for a command that continues with
// the others. The zero damage has no faults.
type damage struct {
	ids    []string
	faults []error
}

// confined reports whether an error concerns a single aggregate: its objects or its
// head are damaged, or only a newer version can read them. The error of a damaged
// SQLite file names no aggregate.
func confined(err error) bool {
	if corrupt, ok := errors.AsType[*ropewalk.CorruptError](err); ok {
		return corrupt.Ref.AggregateID != ""
	}
	return errors.Is(err, ropewalk.ErrHeadLost) || errors.Is(err, ropewalk.ErrUnsupportedFormat)
}

func (d *damage) add(aggregateID string, err error) {
	d.ids, d.faults = append(d.ids, aggregateID), append(d.faults, err)
}

// has reports whether an aggregate has a fault.
func (d *damage) has(aggregateID string) bool { return slices.Contains(d.ids, aggregateID) }

// report reports all faults, and returns the error of the command; nil without
// faults. others says what the command did with the other aggregates: "listed".
func (d *damage) report(std *ui.Streams, others string) error {
	if len(d.faults) == 0 {
		return nil
	}
	for i, err := range d.faults {
		if std.JSON {
			if err := std.Emit(faultJSON(d.ids[i], std.Message(err), err)); err != nil {
				return err
			}
		} else if len(d.faults) > 1 {
			std.Warn("%v", err)
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
