package archive

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// verify returns the sum of all proofs.
func verify(t testing.TB, w *world, d Destination) (total Proof) {
	t.Helper()
	for p, err := range Open(d, nil).Verify(t.Context(), w.store) {
		require.NoError(t, err)
		total.Files += p.Files
		total.Rows += p.Rows
		total.Changesets += p.Changesets
		total.Aggregates += p.Aggregates
		total.Unproved += p.Unproved
		total.Orphans += p.Orphans
		total.Bytes += p.Bytes
		total.Findings = append(total.Findings, p.Findings...)
	}
	return total
}

func TestVerify(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	report := run(t, w, d, small)
	want := Proof{Files: report.Files, Rows: report.Rows, Bytes: report.Bytes, Changesets: 40, Aggregates: 5}
	require.Equal(t, want, verify(t, w, d))
	w.fill(10)
	require.Equal(t, want, verify(t, w, d), "what the store has beyond the archive")
	run(t, w, d, small)
	require.EqualValues(t, 50, verify(t, w, d).Changesets)
}

// Rows of an aggregate that was erased cannot be proved, until they are erased in the
// archive too.
func TestVerifyErased(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	run(t, w, d, small)
	w.erase("order-2")
	for _, known := range []bool{false, true} {
		proof := verify(t, w, d)
		require.Empty(t, proof.Findings, "known to the archive: %v", known)
		require.NotZero(t, proof.Unproved)
		require.EqualValues(t, 4, proof.Aggregates)
		run(t, w, d, small)
	}
	erase(t, d)
	proof := verify(t, w, d)
	require.Empty(t, proof.Findings)
	require.Zero(t, proof.Unproved)
}

// forge replaces the rows of a file of the archive that has several rows, and makes all
// manifests fit: only the chains can show it.
func forge(t *testing.T, d *memory, change func(rows []Row) []Row) {
	t.Helper()
	var previous *ropewalk.Digest
	forged := false
	for _, name := range d.names(manifests) {
		m, err := decodeManifest(d.files[name])
		require.NoError(t, err)
		for i, f := range m.add {
			if _, stored := d.files[f.Name]; forged || !stored || f.Rows < 2 {
				continue
			}
			forged = true
			rows := change(rowsIn(t, d.files[f.Name]))
			delete(d.files, f.Name)
			content, err := encodeRows(rows)
			require.NoError(t, err)
			f.Rows, f.Bytes, f.SHA256 = int64(len(rows)), int64(len(content)), hash(content)
			f.First, f.Last = rows[0].Aggregate, rows[len(rows)-1].Aggregate
			f.Name = fileName(f.Name[:strings.LastIndex(f.Name, "/")], m.Number, f.SHA256)
			d.files[f.Name], m.add[i] = content, f
		}
		m.Previous = previous
		d.files[name], err = m.encode()
		require.NoError(t, err)
		previous = new(hash(d.files[name]))
	}
	require.True(t, forged)
}

func TestVerifyFindsForgedRows(t *testing.T) {
	w, old := newWorld(t), newMemory()
	w.fill(40)
	run(t, w, old, small)
	change := func(f func(r *Row)) func([]Row) []Row {
		return func(rows []Row) []Row {
			f(&rows[1])
			return rows
		}
	}
	for name, forgery := range map[string]struct {
		change func([]Row) []Row
		want   string
	}{
		"data":      {change(func(r *Row) { r.Data = `{"n":-1}` }), "does not have the data"},
		"type":      {change(func(r *Row) { r.Type = "other" }), "does not have the type"},
		"envelope":  {change(func(r *Row) { r.Envelope = "{} " }), "does not have the envelope"},
		"digest":    {change(func(r *Row) { r.Digest = hash(nil) }), "does not have the digest"},
		"changeset": {change(func(r *Row) { r.ChangesetID = changeset.NewID() }), "does not have the changeset_id"},
		"time":      {change(func(r *Row) { r.RecordedAt = r.RecordedAt.Add(time.Microsecond) }), "does not have the recorded_at"},
		"position":  {change(func(r *Row) { r.Position = feed.Position{} }), "does not have the position"},
		"metadata":  {change(func(r *Row) { r.Metadata = "{}" }), "does not have the metadata"},
		"missing":   {func(rows []Row) []Row { return rows[1:] }, "is missing"},
		"twice":     {func(rows []Row) []Row { return slices.Insert(rows, 1, rows[0]) }, "not in the chain"},
		"added": {func(rows []Row) []Row {
			more := rows[len(rows)-1]
			more.Version += 100
			return append(rows, more)
		}, "not in the chain"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &memory{files: maps.Clone(old.files)}
			forge(t, d, forgery.change)
			findings := verify(t, w, d).Findings
			require.NotEmpty(t, findings)
			require.Contains(t, fmt.Sprint(findings), forgery.want)
			require.NotEmpty(t, findings[0].Ref)
		})
	}
}

func TestVerifyFindsDamagedFiles(t *testing.T) {
	w, old := newWorld(t), newMemory()
	w.fill(40)
	run(t, w, old, small)
	name := old.names("day=")[0]
	for want, damage := range map[string]func(d *memory){
		"is missing":       func(d *memory) { delete(d.files, name) },
		"bytes that":       func(d *memory) { d.files[name] = d.files[name][1:] },
		"the SHA-256 that": func(d *memory) { d.files[name] = bytes.Replace(d.files[name], []byte("PAR1"), []byte("par1"), 1) },
	} {
		d := &memory{files: maps.Clone(old.files)}
		damage(d)
		findings := verify(t, w, d).Findings
		require.Len(t, findings, 1)
		require.ErrorContains(t, fmt.Errorf("%s", findings[0]), want)
		require.Equal(t, "memory:"+name, findings[0].File)
	}
}

// Rows that come back after an erasure are found.
func TestVerifyFindsRowsOfErased(t *testing.T) {
	w, d := newWorld(t), newMemory()
	w.fill(40)
	run(t, w, d, nil)
	w.erase("order-2")
	run(t, w, d, nil)
	erase(t, d)
	forge(t, d, func(rows []Row) []Row {
		row := rows[0]
		row.Aggregate = "order-2"
		rows = append(rows, row)
		slices.SortFunc(rows, Row.compare)
		return rows
	})
	findings := verify(t, w, d).Findings
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].String(), "although the aggregate was erased")
}

// objectOf returns a changeset as it is stored.
func objectOf(t *testing.T, c changeset.Changeset) *memstore.Object {
	metadata, err := changeset.Encode(c.Header, changeset.Hyphenated)
	require.NoError(t, err)
	return &memstore.Object{Metadata: metadata, ContentType: c.ContentType, Body: c.Body}
}

// A chain that has lost its head, or was cut or changed, is not the chain that was
// archived.
func TestVerifyFindsOtherChains(t *testing.T) {
	for want, tamper := range map[string]func(older ropewalk.Head, stored *memstore.Contents){
		"its head was restored or is missing": func(older ropewalk.Head, stored *memstore.Contents) {
			delete(stored.Heads, head.ObjectName("order-1"))
		},
		"head was restored or": func(older ropewalk.Head, stored *memstore.Contents) {
			stored.Heads[head.ObjectName("order-1")], _ = head.EncodeJSON(older)
		},
		"another changeset at this version": func(older ropewalk.Head, stored *memstore.Contents) {
			newest := older
			for newest.Version < 3 { // where the archive ends
				all, h, err := link.Extend(newest, "order-1", []changeset.Draft{{}}, time.Now())
				require.NoError(t, err)
				stored.Objects[all[0].ObjectName()] = objectOf(t, all[0])
				newest = h
			}
			stored.Heads[head.ObjectName("order-1")], _ = head.EncodeJSON(newest)
		},
		"digest does not match": func(older ropewalk.Head, stored *memstore.Contents) {
			for name, o := range stored.Objects {
				if ref, _ := changeset.ParseObjectName(name); ref.AggregateID == "order-1" && ref.Version == 2 {
					o.ContentType = "application/x-ndjson; charset=utf-8"
				}
			}
		},
	} {
		w, d := newWorld(t), newMemory()
		w.fill(20)
		run(t, w, d, small)
		older, err := w.store.Chain("order-1").HeadAt(t.Context(), 2)
		require.NoError(t, err)
		w.db.Tamper(func(stored *memstore.Contents) { tamper(older, stored) })
		findings := verify(t, w, d).Findings
		require.NotEmpty(t, findings, want)
		require.Equal(t, "order-1", findings[0].Ref.AggregateID)
		require.Contains(t, fmt.Sprint(findings), want)
	}
}
