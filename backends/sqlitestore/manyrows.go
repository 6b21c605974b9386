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
// of selectMany.
type manyRows struct {
	refs      []changeset.Ref
	found     []bool // by their place; nil for selectMany
	admission changeset.Admission
	all       []changeset.Changeset
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

// manyRow is one row. Its bytes and its content are valid until the next row.
type manyRow struct {
	place   int64
	text    sql.NullString
	bytes   sql.RawBytes
	content contentOrSize
}

func (q *manyRows) read(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	var r manyRow
	columns := []any{&r.place, &r.text, &r.bytes, &r.content}
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
	h, ok := r.decode(ref)
	if !ok || q.admission.Admit(h) != nil {
		return
	}
	c := changeset.Changeset{Header: h}
	if h.BodySize <= inline {
		c.Body = notNil(bytes.Clone(r.content.bytes))
	}
	q.all = append(q.all, c)
}

// refOf returns the reference of a row; false if it was not asked for.
func (q *manyRows) refOf(r *manyRow) (ref changeset.Ref, ok bool) {
	if q.found == nil {
		return q.refs[r.place], true
	}
	size := objectSize
	if q.refs[0].IsPacked() {
		size = packedSize
	}
	if len(r.bytes) < digests+size {
		return ref, false
	}
	ref, _ = objectRef(q.refs[0].AggregateID, r.bytes[digests:digests+size])
	i, ok := slices.BinarySearchFunc(q.refs, ref, byVersion)
	if ok {
		q.found[i] = true
	}
	return ref, ok
}

// decode decodes the row of a changeset, except the content; false if it has none.
func (r *manyRow) decode(ref changeset.Ref) (h changeset.Header, ok bool) {
	metadata, contentType, _ := strings.Cut(r.text.String, "\n")
	from := digests + objectSize
	if ref.IsPacked() {
		from = digests + packedSize
	}
	if !r.content.ok || len(r.bytes) < from {
		return h, false
	}
	stored := changeset.Stored{Ref: ref, ContentType: contentType, Size: r.content.size}
	h, err := changeset.DecodeRow(stored, changeset.Row{
		Metadata: metadata, Ancestors: r.bytes[from:], BodySHA256: r.bytes[:digests/2], Digest: r.bytes[digests/2 : digests],
	})
	return h, err == nil
}

// digests is the size of the two digests of a row.
const digests = 2 * len(changeset.Digest{})

// contentOrSize is content, or its size if it is large; not ok if it is NULL or of
// another type.
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
