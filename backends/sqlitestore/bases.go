package sqlitestore

import (
	"bytes"
	"database/sql"
	"encoding/binary"

	"ropewalk/changeset"
)

// bases lets the rows of a chain share the upper wheels of their ancestor indexes
// ([changeset.Upper]): only the row of their base has them. It works within
// transactions of its connection.
type bases struct {
	load, sharers, update *sql.Stmt
	// known has the last base of an aggregate that was found stored. It is empty after a
	// rollback and after a commit of another connection.
	known map[string]base
}

type base struct {
	ref   changeset.Ref
	upper changeset.Upper
}

// maxKnown is how many aggregates bases remembers.
const maxKnown = 1 << 10

func (b *bases) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{&b.load: selectBase, &b.sharers: selectSharers, &b.update: updateHeader}
}

// forget drops what may no longer be stored.
func (b *bases) forget() { clear(b.known) }

// share returns the binary form of h to store: header, which lacks the upper
// wheels, if the base of h is stored and has them, and otherwise the whole form.
func (b *bases) share(header []byte, h changeset.Header) ([]byte, error) {
	ref, ok := h.Base()
	if !ok {
		return header, nil
	}
	upper, err := b.upper(ref)
	if err != nil || upper == h.Ancestors.Upper() {
		return header, err
	}
	header, _ = changeset.EncodeBinary(h, true)
	return header, nil
}

// upper returns the upper wheels that the row of a base has, empty if it has none.
func (b *bases) upper(ref changeset.Ref) (changeset.Upper, error) {
	if known := b.known[ref.AggregateID]; known.ref == ref {
		return known.upper, nil
	}
	var header []byte
	aggregateID, object := key(ref)
	if err := b.load.QueryRow(aggregateID, object).Scan(&header); err != nil && !isMissing(err) {
		return "", err
	}
	upper, err := changeset.BinaryUpper(ref, header)
	if err != nil {
		return "", nil // missing, damaged, or in the text form
	}
	if b.known == nil || len(b.known) == maxKnown {
		b.known = make(map[string]base)
	}
	b.known[ref.AggregateID] = base{ref, upper}
	return upper, nil
}

// release gives the rows that share the upper wheels of a base their whole form, before
// the row of the base is deleted.
func (b *bases) release(ref changeset.Ref) error {
	if !ref.IsBase() {
		return nil
	}
	upper, err := b.upper(ref)
	delete(b.known, ref.AggregateID)
	if err != nil || upper == "" {
		return err
	}
	sharers, err := b.sharersOf(ref)
	for i := 0; err == nil && i < len(sharers); i++ {
		err = b.makeWhole(sharers[i], upper)
	}
	return err
}

// sharer is the row of a changeset in the block of versions after a base.
type sharer struct {
	aggregateID    string
	object, header []byte
	ref            changeset.Ref
}

// sharersOf returns the rows that share the upper wheels of a base.
func (b *bases) sharersOf(ref changeset.Ref) (all []sharer, err error) {
	aggregateID, object := key(ref)
	rows, err := b.sharers.Query(aggregateID, object, endOfBlock(ref))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := sharer{aggregateID: aggregateID}
		if err := rows.Scan(&r.object, &r.header); err != nil {
			return nil, err
		}
		var ok bool
		if r.ref, ok = objectRef(ref.AggregateID, r.object); !ok {
			continue
		}
		if of, ok := changeset.BinaryBase(r.ref, r.header); ok && of == ref {
			all = append(all, r)
		}
	}
	return all, rows.Err()
}

// makeWhole writes the whole form, unless the row is damaged.
func (b *bases) makeWhole(r sharer, upper changeset.Upper) error {
	h, err := changeset.DecodeBinary(changeset.Stored{Ref: r.ref}, r.header, upper)
	if err != nil {
		return nil
	}
	whole, _ := changeset.EncodeBinary(h, true)
	_, err = b.update.Exec(whole, r.aggregateID, r.object)
	return err
}

// wheel is how many versions have the same base, itself included.
const wheel = 16

// versionOfBase returns the first bytes of the object of a changeset's base; none if it
// has no base.
func versionOfBase(ref changeset.Ref) []byte {
	if ref.IsPacked() || ref.Version < wheel || ref.IsBase() {
		return []byte{}
	}
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), ref.Version&^(wheel-1))
}

// endOfBlock returns the end of the objects that may share the base of ref, which may be
// ref itself; none if it has no base.
func endOfBlock(ref changeset.Ref) []byte {
	if ref.IsPacked() || ref.Version < wheel {
		return []byte{}
	}
	end := binary.BigEndian.AppendUint64(make([]byte, 0, objectSize), ref.Version|(wheel-1))
	return append(end, bytes.Repeat([]byte{0xff}, len(ref.ID))...)
}

// decodeBinary decodes the binary form of a row. The header of the base is nil if it was not found.
func decodeBinary(o changeset.Stored, header, base []byte) (changeset.Header, error) {
	var upper changeset.Upper
	if ref, ok := changeset.BinaryBase(o.Ref, header); ok {
		upper, _ = changeset.BinaryUpper(ref, base) // DecodeBinary says what is missing
	}
	return changeset.DecodeBinary(o, header, upper)
}
