package ropewalk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// TestEveryChangesetIsLocated builds chains of all kinds of appends, also ones that
// begin in format 1, and finds each changeset again.
func TestEveryChangesetIsLocated(t *testing.T) {
	for _, old := range []int{0, 1, 40} {
		r := rand.New(rand.NewPCG(1, uint64(old)))
		s := memstore.New()
		var h head.Head
		var refs []changeset.Ref
		for i := range 300 {
			l := link.Layout{Packed: i >= old, Tip: 2000, Compress: i%2 == 0}
			var drafts []changeset.Draft
			for j := range 1 + r.IntN(4) {
				size := r.IntN(400)
				if r.IntN(60) == 0 {
					size = link.MaxLine + 1
				}
				drafts = append(drafts, changeset.Draft{Content: make([]byte, size), Metadata: map[string]string{"n": fmt.Sprint(j)}})
			}
			a, err := link.Build(h, "order-1", [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), l)
			require.NoError(t, err)
			for _, o := range a.Objects {
				require.NoError(t, s.Put(t.Context(), o))
			}
			for _, c := range a.Changesets {
				refs = append(refs, c.Ref)
			}
			record, err := head.EncodeJSON(a.Next)
			require.NoError(t, err)
			h, err = head.DecodeJSON("order-1", "head", record)
			require.NoError(t, err)
			require.True(t, h.SameRecord(a.Next))
			if i%20 == 19 && h.Tip != "" && r.IntN(2) == 0 {
				objects, next, err := link.Flush(h, false)
				require.NoError(t, err)
				for _, o := range objects {
					require.NoError(t, s.Put(t.Context(), o))
				}
				h = next
			}
		}
		for _, ref := range refs {
			place, err := link.Locate(t.Context(), s, h, ref.Version)
			require.NoError(t, err)
			require.Equal(t, ref, place.Header.Ref)
			require.Equal(t, ref, place.At.Ref)
			require.True(t, place.At.IsPlaced())
			again, err := link.Locate(t.Context(), s, place.At, uint64(r.IntN(int(ref.Version+1))))
			require.NoError(t, err)
			require.Equal(t, refs[again.Header.Version], again.Header.Ref)
		}
	}
}

// mistaken is a store that returns the header of another object.
type mistaken struct {
	changeset.PassThrough
	other changeset.Header
}

func (m mistaken) Stat(context.Context, changeset.Ref) (changeset.Info, error) {
	return changeset.Info{Header: m.other}, nil
}

// TestLocateIdentifiesHeaders: a reply about another object, or of another format, is
// damage.
func TestLocateIdentifiesHeaders(t *testing.T) {
	s := memstore.New()
	var h head.Head
	var objects []changeset.Changeset
	for range 30 {
		a, err := link.Build(h, "order-1", [][]body.Draft{body.Drafts([]changeset.Draft{{}}, false)}, time.Now(), link.Layout{Packed: true, Tip: -1})
		require.NoError(t, err)
		require.NoError(t, s.Put(t.Context(), a.Objects[0]))
		h, objects = a.Next, append(objects, a.Objects[0])
	}
	for _, other := range []changeset.Header{{}, objects[0].Header, objects[0].Alone()} {
		_, err := link.Locate(t.Context(), mistaken{changeset.NewPassThrough(s), other}, h, 1)
		require.ErrorAs(t, err, new(*changeset.CorruptError))
	}
}
