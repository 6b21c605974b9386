package sqlitestore

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"slices"

	"ropewalk/changeset"
)

// bases lets the rows of a chain share the upper wheels of their ancestor indexes
// ([changeset.Upper]): only the rows of their bases have them. It works within
// transactions of its connection.
type bases struct {
	load, sharers, update *sql.Stmt
	// known has the last bases of an aggregate that were found stored. It is empty after a
	// rollback and after a commit of another connection.
	known map[string]foundBases
}

type foundBases struct {
	refs  changeset.Bases
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
// wheels, if both bases of h are stored and have them, and otherwise the whole form.
func (b *bases) share(header []byte, h changeset.Header) ([]byte, error) {
	refs, ok := h.Bases()
	if !ok {
		return header, nil
	}
	upper, err := b.upper(refs)
	if err != nil || upper == h.Ancestors.Upper() {
		return header, err
	}
	header, _ = changeset.EncodeBinary(h, true)
	return header, nil
}

// upper returns the upper wheels that the rows of both bases have, empty if they do not.
func (b *bases) upper(refs changeset.Bases) (changeset.Upper, error) {
	aggregateID := refs[0].AggregateID
	if known := b.known[aggregateID]; known.refs == refs {
		return known.upper, nil
	}
	first, err := b.upperOf(refs[0])
	if err != nil || first == "" {
		return "", err
	}
	second, err := b.upperOf(refs[1])
	if err != nil || first != second {
		return "", err
	}
	if b.known == nil || len(b.known) == maxKnown {
		b.known = make(map[string]foundBases)
	}
	b.known[aggregateID] = foundBases{refs, first}
	return first, nil
}

// upperOf returns the upper wheels that the row of a base has, empty if it is missing,
// damaged, or in the text form.
func (b *bases) upperOf(ref changeset.Ref) (changeset.Upper, error) {
	var header []byte
	aggregateID, object := key(ref)
	if err := b.load.QueryRow(aggregateID, object).Scan(&header); err != nil && !isMissing(err) {
		return "", err
	}
	upper, _ := changeset.BinaryUpper(ref, header)
	return upper, nil
}

// release gives the rows that share the upper wheels of a base their whole form, before
// the row of the base is deleted.
func (b *bases) release(ref changeset.Ref) error {
	if !ref.IsBase() {
		return nil
	}
	delete(b.known, ref.AggregateID)
	sharers, err := b.sharersOf(ref)
	for i := 0; err == nil && i < len(sharers); i++ {
		err = b.makeWhole(sharers[i])
	}
	return err
}

// sharer is the row of a changeset in the block of versions after a base.
type sharer struct {
	aggregateID    string
	object, header []byte
	ref            changeset.Ref
	bases          changeset.Bases
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
		if r.bases, ok = changeset.BinaryBases(r.ref, r.header); ok && slices.Contains(r.bases[:], ref) {
			all = append(all, r)
		}
	}
	return all, rows.Err()
}

// makeWhole writes the whole form, unless the row is damaged.
func (b *bases) makeWhole(r sharer) error {
	var h changeset.Header
	var damage error
	for _, base := range r.bases {
		upper, err := b.upperOf(base)
		if err != nil {
			return err
		}
		if h, damage = changeset.DecodeBinary(changeset.Stored{Ref: r.ref}, r.header, upper); damage == nil {
			break
		}
	}
	if damage != nil {
		return nil
	}
	whole, _ := changeset.EncodeBinary(h, true)
	_, err := b.update.Exec(whole, r.aggregateID, r.object)
	return err
}

// wheel is how many versions have the same bases, the bases included.
const wheel = 16

// versionOfBase returns the first bytes of the object of a changeset's first base; none if
// it has no bases.
func versionOfBase(ref changeset.Ref) []byte {
	if ref.IsPacked() || ref.Version < wheel || ref.IsBase() {
		return []byte{}
	}
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), ref.Version&^(wheel-1))
}

// endOfBlock returns the end of the objects that may share the bases of ref, which may be
// a base itself; none if it has no bases.
func endOfBlock(ref changeset.Ref) []byte {
	if ref.IsPacked() || ref.Version < wheel {
		return []byte{}
	}
	end := binary.BigEndian.AppendUint64(make([]byte, 0, objectSize), ref.Version|(wheel-1))
	return append(end, bytes.Repeat([]byte{0xff}, len(ref.ID))...)
}

// decodeBinary decodes the binary form of a row. base is the header of its first base, nil if it was not found.
func decodeBinary(o changeset.Stored, header, base []byte) (changeset.Header, error) {
	var upper changeset.Upper
	if bases, ok := changeset.BinaryBases(o.Ref, header); ok {
		upper, _ = changeset.BinaryUpper(bases[0], base) // DecodeBinary says what is missing
	}
	return changeset.DecodeBinary(o, header, upper)
}
