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

// wanted are changesets of a range that are looked for.
type wanted struct {
	refs  []changeset.Ref // sorted
	found []bool          // by their place
}

// neighbours returns the refs if they are most of the versions in a range of one
// aggregate. To read the range takes less time than to look up each of them.
func neighbours(refs []changeset.Ref) (w *wanted, ok bool) {
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
	return &wanted{slices.SortedFunc(slices.Values(refs), byVersion), make([]bool, len(refs))}, true
}

func byVersion(a, b changeset.Ref) int {
	return cmp.Or(cmp.Compare(a.First(), b.First()), cmp.Compare(a.Version, b.Version), bytes.Compare(a.ID[:], b.ID[:]))
}

// take reports whether the changeset is wanted. It is then no longer missing.
func (w *wanted) take(ref changeset.Ref) bool {
	i, ok := slices.BinarySearchFunc(w.refs, ref, byVersion)
	if ok {
		w.found[i] = true
	}
	return ok
}

// missing returns the refs that were not found.
func (w *wanted) missing() (refs []changeset.Ref) {
	for i, ref := range w.refs {
		if !w.found[i] {
			refs = append(refs, ref)
		}
	}
	return refs
}

// manyRows collects the changesets in the rows of selectPacks, of which some are
// wanted, or of selectMany or selectWhole, whose rows have the places of their refs.
type manyRows struct {
	wanted    *wanted
	refs      []changeset.Ref
	admission changeset.Admission
	all       []changeset.Changeset
	uppers    uppers
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
	if q.wanted == nil {
		return q.refs[r.place], true
	}
	if r.header != nil || len(r.bytes) < digests+packedSize {
		return ref, false
	}
	ref, ok = objectRef(q.wanted.refs[0].AggregateID, r.bytes[digests:][:packedSize])
	return ref, ok && q.wanted.take(ref)
}

func sizeOfObject(ref changeset.Ref) int {
	if ref.IsPacked() {
		return packedSize
	}
	return objectSize
}

// decode decodes the row of a changeset, except the content; false if it has none.
func (q *manyRows) decode(r *manyRow, ref changeset.Ref) (h changeset.Header, ok bool) {
	if !r.content.ok {
		return h, false
	}
	stored := changeset.Stored{Ref: ref, Size: r.content.size}
	var err error
	if r.header != nil {
		if r.base != nil {
			h, err = decodeBinary(stored, r.header, r.base)
		} else {
			h, err = q.uppers.decode(stored, r.header)
		}
		return h, err == nil
	}
	from := digests + sizeOfObject(ref)
	if len(r.bytes) < from {
		return h, false
	}
	h, err = decodeText(stored, r, from)
	return h, err == nil
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
