package sqlitestore

import (
	"bytes"
	"cmp"
	"database/sql"
	"slices"
	"strings"

	"ropewalk/changeset"
)

// minRange is how many changesets make it worth to read a range.
const minRange = 4

// neighbours returns the refs in the order of their versions, if they are most of the
// versions in a range of one aggregate. To read the range takes less time than to look
// up each of them.
func neighbours(refs []changeset.Ref) (sorted []changeset.Ref, ok bool) {
	if len(refs) < minRange {
		return nil, false
	}
	first, last, changesets := refs[0].First(), refs[0].Version, uint64(0)
	for _, ref := range refs {
		if ref.AggregateID != refs[0].AggregateID || ref.IsPacked() != refs[0].IsPacked() {
			return nil, false
		}
		first, last = min(first, ref.First()), max(last, ref.Version)
		changesets += uint64(max(ref.Count, 1))
	}
	if last-first >= changesets+changesets/2 {
		return nil, false
	}
	return slices.SortedFunc(slices.Values(refs), byVersion), true
}

func byVersion(a, b changeset.Ref) int {
	return cmp.Or(cmp.Compare(a.First(), b.First()), cmp.Compare(a.Version, b.Version), bytes.Compare(a.ID[:], b.ID[:]))
}

// manyRows collects the changesets in the rows of selectRange, whose refs are sorted, or
// of selectMany or selectWhole.
type manyRows struct {
	refs      []changeset.Ref
	found     []bool // by their place; nil except for selectRange
	admission changeset.Admission
	all       []changeset.Changeset

	// uppers has what the rows of the last bases have.
	uppers map[changeset.Ref]changeset.Upper
}

// missing returns the refs that were not found.
func (q *manyRows) missing() (refs []changeset.Ref) {
	for i, ref := range q.refs {
		if !q.found[i] {
			refs = append(refs, ref)
		}
	}
	return refs
}

// manyRow is one row. Its bytes are valid until the next row.
type manyRow struct {
	place   int64
	base    sql.RawBytes // the header of its base, if the query has found one
	header  sql.RawBytes // nil in the text form
	text    sql.RawBytes
	bytes   sql.RawBytes
	content contentOrSize
}

func (q *manyRows) read(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	var r manyRow
	columns := []any{&r.place, &r.base, &r.header, &r.text, &r.bytes, &r.content}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		q.add(&r)
	}
	return rows.Err()
}

// add adds the changeset of a row, if there is one and it is admitted.
func (q *manyRows) add(r *manyRow) {
	ref, ok := q.refOf(r)
	if !ok {
		return
	}
	h, ok := q.decode(r, ref)
	if !ok || q.admission.Admit(h) != nil {
		return
	}
	c := changeset.Changeset{Header: h}
	if h.BodySize <= inline {
		c.Body = notNil(r.content.bytes)
	}
	q.all = append(q.all, c)
}

// refOf returns the reference of a row; false if it was not asked for.
func (q *manyRows) refOf(r *manyRow) (ref changeset.Ref, ok bool) {
	if q.found == nil {
		return q.refs[r.place], true
	}
	size, from := sizeOfObject(q.refs[0]), 0
	if r.header == nil {
		from = digests
	}
	if len(r.bytes) < from+size {
		return ref, false
	}
	ref, _ = objectRef(q.refs[0].AggregateID, r.bytes[from:from+size])
	if ref.IsBase() {
		q.remember(ref, r)
	}
	i, ok := slices.BinarySearchFunc(q.refs, ref, byVersion)
	if ok {
		q.found[i] = true
	}
	return ref, ok
}

func sizeOfObject(ref changeset.Ref) int {
	if ref.IsPacked() {
		return packedSize
	}
	return objectSize
}

// remember keeps the upper wheels of a base for the rows after it.
func (q *manyRows) remember(ref changeset.Ref, r *manyRow) {
	for other := range q.uppers {
		if other.Version/wheel != ref.Version/wheel || other.AggregateID != ref.AggregateID {
			clear(q.uppers)
		}
		break
	}
	if upper, err := changeset.BinaryUpper(ref, r.header); err == nil {
		if q.uppers == nil {
			q.uppers = make(map[changeset.Ref]changeset.Upper, 2)
		}
		q.uppers[ref] = upper
	}
}

// decode decodes the row of a changeset, except the content; false if it has none.
func (q *manyRows) decode(r *manyRow, ref changeset.Ref) (h changeset.Header, ok bool) {
	if !r.content.ok {
		return h, false
	}
	stored := changeset.Stored{Ref: ref, Size: r.content.size}
	var err error
	if r.header != nil {
		h, err = q.decodeBinary(stored, r.header, r.base)
		return h, err == nil
	}
	from := digests + sizeOfObject(ref)
	if len(r.bytes) < from {
		return h, false
	}
	h, err = decodeText(stored, r, from)
	return h, err == nil
}

func (q *manyRows) decodeBinary(o changeset.Stored, header, base []byte) (changeset.Header, error) {
	if base == nil {
		bases, _ := changeset.BinaryBases(o.Ref, header)
		return changeset.DecodeBinary(o, header, cmp.Or(q.uppers[bases[0]], q.uppers[bases[1]]))
	}
	return decodeBinary(o, header, base)
}

// decodeText decodes the text form, whose ancestors begin at from in the bytes.
func decodeText(o changeset.Stored, r *manyRow, from int) (changeset.Header, error) {
	metadata, contentType, _ := strings.Cut(string(r.text), "\n")
	o.ContentType = contentType
	return changeset.DecodeRow(o, changeset.Row{
		Metadata: metadata, Ancestors: r.bytes[from:], BodySHA256: r.bytes[:digests/2], Digest: r.bytes[digests/2 : digests],
	})
}

// digests is the size of the two digests of a row.
const digests = 2 * len(changeset.Digest{})

// contentOrSize is content, or its size if it is large; not ok if it is NULL or of
// another type. The driver makes a slice for each value, which is taken as it is.
type contentOrSize struct {
	bytes []byte
	size  int64
	ok    bool
}

// Scan takes the value of the column.
func (c *contentOrSize) Scan(value any) error {
	switch v := value.(type) {
	case []byte:
		*c = contentOrSize{v, int64(len(v)), true}
	case int64:
		*c = contentOrSize{nil, v, true}
	default:
		*c = contentOrSize{}
	}
	return nil
}
