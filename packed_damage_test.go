package ropewalk_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// damage is a way to damage a stored object of format 2. It reports whether the object
// can be damaged so.
type damage struct {
	name string
	// header means that the header is what is damaged, so that its index leads nowhere.
	header bool
	do     func(all map[string]*memstore.Object, o, another changeset.Ref) bool
}

// damages are all kinds of damage that can be attributed to the object.
func damages() []damage {
	field := func(key string, change func(string) string) func(map[string]*memstore.Object, changeset.Ref, changeset.Ref) bool {
		return func(all map[string]*memstore.Object, o, _ changeset.Ref) bool {
			m := all[o.ObjectName()].Metadata
			had := m[key]
			m[key] = change(had)
			return had != "" && m[key] != had
		}
	}
	digest := func(string) string { return changeset.Digest{1}.String() }
	return []damage{
		{"a byte of the body", false, func(all map[string]*memstore.Object, o, _ changeset.Ref) bool {
			all[o.ObjectName()].Body[7] ^= 1
			return true
		}},
		{"missing", true, func(all map[string]*memstore.Object, o, _ changeset.Ref) bool {
			delete(all, o.ObjectName())
			return true
		}},
		{"another object", true, func(all map[string]*memstore.Object, o, another changeset.Ref) bool {
			all[o.ObjectName()] = all[another.ObjectName()]
			return true
		}},
		{"parent digest", false, field("parent-digest", digest)},
		{"digest", false, field("digest", digest)},
		{"revision", false, field("after-revision", func(s string) string {
			if n, _ := strconv.Atoi(s); n == 0 {
				return s
			}
			return "0"
		})},
		{"a frame that announces 17 MiB", false, func(all map[string]*memstore.Object, o, another changeset.Ref) bool {
			return o.Count == 3 && bomb(all, o, another) // which takes time
		}},
		{"a line is missing", false, relined(func(lines []byte) []byte { return lines[bytes.IndexByte(lines, '\n')+1:] })},
		{"a line twice", false, relined(func(lines []byte) []byte { return append(lines, lines[:bytes.IndexByte(lines, '\n')+1]...) })},
		{"no lines", false, relined(func([]byte) []byte { return []byte("\n") })},
		{"another content", false, relined(func(lines []byte) []byte { return bytes.ReplaceAll(lines, []byte("say"), []byte("lie")) })},
		{"another header", false, relined(func(lines []byte) []byte { return bytes.ReplaceAll(lines, []byte("text/plain"), []byte("text/plane")) })},
	}
}

var bomb = relined(func([]byte) []byte { return make([]byte, changeset.MaxReadBody+1) })

// relined replaces the lines of an object, with a hash that matches.
func relined(change func(lines []byte) []byte) func(map[string]*memstore.Object, changeset.Ref, changeset.Ref) bool {
	return func(all map[string]*memstore.Object, o, _ changeset.Ref) bool {
		stored := all[o.ObjectName()]
		if stored.ContentType != changeset.ContentTypeLines {
			return false
		}
		lines, err := body.Decode(changeset.Changeset{Header: changeset.Header{Encoding: stored.Metadata["encoding"]}, Body: stored.Body}, changeset.MaxReadBody)
		if err != nil {
			panic(err)
		}
		b := body.Encode(change(bytes.Clone(lines)), stored.Metadata["encoding"] != "" || o.Count == 3)
		stored.Body = b.Bytes
		delete(stored.Metadata, "encoding")
		if b.Encoding != "" {
			stored.Metadata["encoding"] = b.Encoding
		}
		stored.Metadata["content-sha256"] = base64.RawURLEncoding.EncodeToString(b.SHA256[:])
		return true
	}
}

// damaged returns a chain with changesets of format 1, all kinds of objects, and a tip.
func damaged(t *testing.T) *built {
	b := newBuilt(t)
	say := func(n int, size int) []changeset.Draft {
		drafts := make([]changeset.Draft, n)
		for i := range drafts {
			drafts[i] = changeset.Draft{ContentType: "text/plain", Content: append([]byte("say"), make([]byte, size)...)}
		}
		return drafts
	}
	b.append(link.Layout{}, say(3, 1)...)
	for i := range 10 {
		b.append(link.Layout{Packed: true, Compress: i%3 == 0}, say(1+i%3, 300)...)
	}
	b.append(link.Layout{}, say(1, link.MaxLine)...)
	b.append(link.Layout{}, say(2, 10)...)
	b.append(link.Layout{Tip: 2000}, say(2, 10)...)
	b.save()
	b.objects = b.objects[3:]
	return b
}

// Damage of any kind to any object is found and named. Everything before it is yielded,
// and nothing wrong.
func TestDamagedObjects(t *testing.T) {
	b := damaged(t)
	for i, o := range b.objects {
		for _, d := range damages() {
			db := b.db.Clone()
			done := false
			db.Tamper(func(all *memstore.Contents) { done = d.do(all.Objects, o, b.objects[(i+1)%len(b.objects)]) })
			if !done {
				continue
			}
			t.Run(fmt.Sprint(d.name, " of ", i), func(t *testing.T) {
				r := ropewalk.New(db, db, &ropewalk.Options{WindowCount: 4}).Chain("order-1").ReaderAt(b.head)
				n := requireDamaged(t, b.want, r.All(t.Context()), db, o)
				if !d.header {
					require.Equal(t, int(o.First()), n)
				}
				require.LessOrEqual(t, n, int(o.First()))
				n = requireDamaged(t, backwards(b.want), r.Backward(t.Context()), db, o)
				above := len(b.want) - 1 - int(o.Version)
				if i < len(b.objects)-1 {
					above-- // what comes right after it is not proved
				}
				require.Equal(t, above, n)
			})
		}
	}
}

// A digest does not cover the ID of the parent, which the digest of the parent does. So a
// wrong ID is found where the parent is read.
func TestWrongParent(t *testing.T) {
	b := damaged(t)
	for _, o := range b.objects[1:] {
		db := b.db.Clone()
		metadataOf(db, o)["parent-changeset-id"] = changeset.NewID().String()
		r := ropewalk.New(db, db, nil).Chain("order-1").ReaderAt(b.head)
		require.Equal(t, int(o.First()), requireDamaged(t, b.want, r.All(t.Context()), db, o))
		require.Equal(t, len(b.want)-1-int(o.First()), requireDamaged(t, backwards(b.want), r.Backward(t.Context()), db, o))
	}
}

// requireDamaged checks that a sequence yields what is wanted until it ends with an
// error that names the object, and returns how much.
func requireDamaged(t *testing.T, want []changeset.Changeset, seq iter.Seq2[changeset.Changeset, error], db *memstore.Store, o changeset.Ref) int {
	t.Helper()
	got, err := ropewalk.Collect(seq)
	var corrupt *ropewalk.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, o, corrupt.Ref, err)
	require.Equal(t, db.Locate(o), corrupt.Object)
	require.NotErrorIs(t, err, ropewalk.ErrNotFound)
	for i := range got {
		requireEqual(t, want[i], got[i])
	}
	return len(got)
}

// A wrong entry of an index is found. Which object is wrong can be unclear, where two
// indexes disagree.
func TestWrongIndexEntries(t *testing.T) {
	b := damaged(t)
	for i, o := range b.objects[1:] {
		packed, err := base64.RawURLEncoding.DecodeString(metadataOf(b.db, o)["index"])
		require.NoError(t, err)
		for at := 5; at < len(packed); at += 7 {
			wrong := slices.Clone(packed)
			wrong[at] ^= 1
			db := b.db.Clone()
			metadataOf(db, o)["index"] = base64.RawURLEncoding.EncodeToString(wrong)
			r := ropewalk.New(db, db, &ropewalk.Options{WindowCount: 4}).Chain("order-1").ReaderAt(b.head)
			for want, seq := range map[*[]changeset.Changeset]iter.Seq2[changeset.Changeset, error]{
				&b.want: r.All(t.Context()), new(backwards(b.want)): r.Backward(t.Context()),
			} {
				got, err := ropewalk.Collect(seq)
				require.ErrorAs(t, err, new(*ropewalk.CorruptError), "object %d byte %d", i+1, at)
				for n := range got {
					requireEqual(t, (*want)[n], got[n])
				}
			}
		}
	}
}

func metadataOf(db *memstore.Store, o changeset.Ref) (m map[string]string) {
	db.Tamper(func(all *memstore.Contents) { m = all.Objects[o.ObjectName()].Metadata })
	return m
}

// An object that was written again, with other content and digests that fit, is found
// by the digests of what follows it: backward before anything of it is yielded.
func TestRewrittenObjects(t *testing.T) {
	b := damaged(t)
	for _, o := range b.objects {
		db := b.db.Clone()
		stored, err := db.Get(t.Context(), o, nil)
		require.NoError(t, err)
		if !stored.Pack.Lines {
			continue
		}
		parent, lines := stored.ParentOf(), []byte(nil)
		for _, c := range b.want[o.First() : o.Version+1] {
			c.Content, c.Body = []byte("lie"), nil
			c, err = changeset.Seal(c, parent)
			require.NoError(t, err)
			parent, lines = c.Header, changeset.AppendLine(lines, c)
		}
		require.NoError(t, db.Delete(t.Context(), o))
		require.NoError(t, db.Put(t.Context(), changeset.NewPack(o.ID, stored.AfterRevision, stored.Pack.Index, stored.ParentOf(), parent, lines)))
		r := ropewalk.New(db, db, nil).Chain("order-1").ReaderAt(b.head)
		above := max(0, len(b.want)-2-int(o.Version))
		if o == b.objects[len(b.objects)-1] {
			above++ // the head proves what is in the tip
		}
		require.Equal(t, above, requireDamaged(t, backwards(b.want), r.Backward(t.Context()), db, o))
		_, err = ropewalk.Collect(r.All(t.Context()))
		require.ErrorAs(t, err, new(*ropewalk.CorruptError))
	}
}

// The head must agree with the newest object, and with the tip.
func TestHeadThatDisagreesWithItsObjects(t *testing.T) {
	b := damaged(t)
	for name, change := range map[string]func(*ropewalk.Head){
		"packed digest": func(h *ropewalk.Head) { h.PackedDigest[0] ^= 1 },
		"packed ID":     func(h *ropewalk.Head) { h.PackedID = changeset.NewID() },
		"digest":        func(h *ropewalk.Head) { h.Digest[0] ^= 1 },
		"tip":           func(h *ropewalk.Head) { h.Tip = h.Tip[:len(h.Tip)/2] },
		"no tip":        func(h *ropewalk.Head) { h.Tip = "" },
		"reference":     func(h *ropewalk.Head) { h.ID = changeset.NewID() },
	} {
		t.Run(name, func(t *testing.T) {
			h := b.head
			change(&h)
			r := ropewalk.New(b.db, b.db, nil).Chain("order-1").ReaderAt(h)
			seqs := []iter.Seq2[changeset.Changeset, error]{r.All(t.Context()), r.Backward(t.Context())}
			if strings.HasPrefix(name, "packed") { // also without the tip
				seqs = append(seqs, r.Changesets(t.Context(), ropewalk.Range{First: 4, Last: h.Index.Next() - 1}))
			}
			for _, seq := range seqs {
				all, err := ropewalk.Collect(seq)
				require.ErrorAs(t, err, new(*ropewalk.CorruptError))
				require.Less(t, len(all), len(b.want))
			}
		})
	}
}
