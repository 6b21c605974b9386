package head

import (
	"errors"
	"fmt"

	"ropewalk/changeset"
)

// FormatMoved is the format of the heads of aggregates that move to another storage. Only
// writers that know the field may replace them; readers of older formats go on to read.
const FormatMoved = 3

// Move says that an aggregate moves to another storage: no append is accepted in this one.
// The zero Move means that the aggregate stays.
type Move struct {
	// To names the other storage for people, as its URL does: at most [MaxMoveTo] bytes,
	// without credentials.
	To string
	// Done means that the other storage has the whole history. Until then nothing may be
	// appended there either.
	Done bool
}

// MaxMoveTo is the largest size of [Move.To] in bytes.
const MaxMoveTo = 1 << 10

// ErrMoved matches every [*MovedError].
var ErrMoved = errors.New("moved")

// MovedError is the error of an append to an aggregate that moves, or has moved, to another
// storage: nothing was committed, and nothing ever will be.
type MovedError struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Move says where it moves.
	Move Move
}

// Error says where the aggregate is.
func (e *MovedError) Error() string {
	if e.Move.Done {
		return fmt.Sprintf("%q has moved to %s: append to it there", e.AggregateID, e.Move.To)
	}
	return fmt.Sprintf("%q is moving to %s: read the head again in a moment, and append to it there when it has moved", e.AggregateID, e.Move.To)
}

// Is reports whether target is [ErrMoved].
func (e *MovedError) Is(target error) bool { return target == ErrMoved }

// KnownFormat returns the newest format of such a record that this version knows:
// [FormatMoved] if the aggregate moves, otherwise [changeset.MaxFormat].
func (h Head) KnownFormat() uint64 {
	if h.Move != (Move{}) {
		return FormatMoved
	}
	return changeset.MaxFormat
}

// CheckWritable returns an error that matches [changeset.ErrUnsupportedFormat] if this
// version must not replace the record.
func (h Head) CheckWritable() error {
	if h.Move != (Move{}) && h.Formats.MinWriter == FormatMoved {
		return nil
	}
	return h.Formats.CheckWritable()
}

// CheckAppendable is [Head.CheckWritable] for an append: its error is a [*MovedError] if the
// aggregate moves.
func (h Head) CheckAppendable() error {
	if h.Move != (Move{}) {
		return &MovedError{h.AggregateID, h.Move}
	}
	return h.Formats.CheckWritable()
}

// validateMove checks that older writers refuse the head of an aggregate that moves.
func (h Head) validateMove() error {
	switch {
	case h.Move == Move{}:
		return nil
	case h.Move.To == "":
		return errors.New("it moves, and does not say where")
	case len(h.Move.To) > MaxMoveTo:
		return fmt.Errorf("the name of where it moves has %d bytes, more than %d", len(h.Move.To), MaxMoveTo)
	case h.Formats.MinWriter < FormatMoved:
		return fmt.Errorf("the head of an aggregate that moves has min-writer %d at least", FormatMoved)
	}
	return nil
}

// MoveTexts returns the texts of the fields that only the head of an aggregate that moves
// has. A field without a value is absent.
func (h Head) MoveTexts() map[string]string {
	switch {
	case h.Move == Move{}:
		return nil
	case h.Move.Done:
		return map[string]string{FieldMovedTo: changeset.Escape(h.Move.To)}
	default:
		return map[string]string{FieldMovingTo: changeset.Escape(h.Move.To)}
	}
}

// parseMove reads the fields of [Head.MoveTexts].
func parseMove(texts map[string]string) (m Move, err error) {
	moved, moving := texts[FieldMovedTo], texts[FieldMovingTo]
	switch {
	case moved != "" && moving != "":
		return m, errors.New("it is moving, and has moved")
	case moved != "":
		m.Done = true
	}
	if m.To, err = changeset.Unescape(moved + moving); err != nil {
		err = fmt.Errorf("where it moves: %w", err)
	}
	return m, err
}
