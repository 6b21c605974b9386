package head_test

import (
	"bytes"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// history is a chain of 20 changesets with a batch of three, a fence, and
// every kind of field.
func history(t testing.TB) chain {
	t.Helper()
	var c chain
	for i := range 18 {
		at := noon.Add(time.Duration(i) * time.Minute)
		text := strings.Repeat("x", i)
		switch i {
		case 6:
			c.append(t, at, changeset.Draft{CommandID: "b.1", Content: []byte("one")}, changeset.Draft{Content: []byte("two")}, changeset.Draft{})
		case 9:
			c.head = link.Fence(c.head)
			c.append(t, at, changeset.Draft{CommandID: "c", Metadata: map[string]string{"trace": "1", "a b": ""}, ContentType: "text/plain"})
		default:
			c.append(t, at, changeset.Draft{Content: []byte(text), ContentType: "text/plain; charset=utf-8"})
		}
	}
	require.Len(t, c.changesets, 20)
	return c
}

// object is a changeset as a service keeps it.
type object struct {
	changeset.Stored
	body []byte
}

func objectOf(t testing.TB, c changeset.Changeset, spelling changeset.KeyStyle) object {
	t.Helper()
	metadata, err := changeset.Encode(c.Header, spelling)
	require.NoError(t, err)
	return object{changeset.Stored{Ref: c.Ref, Object: "o", Metadata: metadata, ContentType: c.ContentType, Size: c.BodySize}, c.Body}
}

// check reads the object that is stored for the i-th changeset and holds it
// against its neighbours in the chain, as a reader does.
func (c chain) check(i int, o object, spelling changeset.KeyStyle) error {
	h, err := changeset.Decode(o.Stored, spelling)
	if err != nil {
		return err
	}
	read := changeset.Changeset{Header: h, Body: o.body}
	if err := read.VerifyBody(); err != nil {
		return err
	}
	var parent changeset.Header
	if i > 0 {
		parent = c.changesets[i-1].Header
		if err := h.VerifyLink(parent); err != nil {
			return err
		}
	}
	if err := h.Verify(parent.Digest); err != nil {
		return err
	}
	if i == len(c.changesets)-1 {
		return c.head.VerifyNewest(h)
	}
	next := c.changesets[i+1].Header
	return errors.Join(next.VerifyLink(h), next.Verify(h.Digest))
}

var (
	everyBit  = []byte{1, 2, 4, 8, 16, 32, 64, 128}
	everyByte = func() (masks []byte) {
		for mask := 1; mask < 256; mask++ {
			masks = append(masks, byte(mask))
		}
		return masks
	}()
)

// flips calls f with every text that differs from s in one byte, by one of the masks.
func flips(s string, masks []byte, f func(flipped string)) {
	b := []byte(s)
	for i := range b {
		for _, mask := range masks {
			b[i] ^= mask
			f(string(b))
			b[i] ^= mask
		}
	}
}

func requireNamed(t *testing.T, err error, ref changeset.Ref, what ...string) {
	t.Helper()
	var corrupt *changeset.CorruptError
	switch {
	case errors.As(err, &corrupt):
		if corrupt.Ref != ref {
			t.Fatalf("%q: %v is named instead of %s", what, err, ref)
		}
	case errors.Is(err, changeset.ErrUnsupportedFormat):
		if !strings.Contains(err.Error(), ref.String()) {
			t.Fatalf("%q: %v does not name %s", what, err, ref)
		}
	default:
		t.Fatalf("%q: passes: %v", what, err)
	}
}

func TestEveryFlipOfAChangesetIsNamed(t *testing.T) {
	c := history(t)
	for i, stored := range c.changesets {
		for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
			require.NoError(t, c.check(i, objectOf(t, stored, spelling), spelling))
		}
		masks := everyBit
		if i%7 == 0 { // the first, the second of the batch, and one with an older ancestor
			masks = everyByte
		}
		if testing.Short() {
			masks = everyBit[:1]
		}
		whole := objectOf(t, stored, changeset.Hyphenated)
		check := func(o object, what ...string) {
			requireNamed(t, c.check(i, o, changeset.Hyphenated), stored.Ref, what...)
		}
		for key, value := range whole.Metadata {
			flips(value, masks, func(flipped string) {
				o := whole
				o.Metadata = maps.Clone(whole.Metadata)
				o.Metadata[key] = flipped
				check(o, key, value, flipped)
			})
			flips(key, masks, func(flipped string) {
				o := whole
				o.Metadata = maps.Clone(whole.Metadata)
				delete(o.Metadata, key)
				o.Metadata[flipped] = value
				check(o, key, flipped)
			})
			o := whole
			o.Metadata = maps.Clone(whole.Metadata)
			delete(o.Metadata, key)
			check(o, key, "missing")
		}
		flips(whole.ContentType, masks, func(flipped string) {
			o := whole
			o.ContentType = flipped
			check(o, "content type", flipped)
		})
		flips(string(whole.body), masks, func(flipped string) {
			o := whole
			o.body = []byte(flipped)
			check(o, "content", flipped)
		})
		for _, body := range [][]byte{append(slices.Clone(whole.body), 0), bytes.TrimSuffix(whole.body, []byte("x"))} {
			o := whole
			o.body, o.Size = body, int64(len(body))
			if len(body) != len(whole.body) {
				check(o, "content", string(body))
			}
		}
	}
}

// An object in another's place is named too: of another version, or the same
// changeset's from a chain with other content.
func TestEverySwappedObjectIsNamed(t *testing.T) {
	c, other := history(t), history(t)
	for i, stored := range c.changesets {
		for j := range c.changesets {
			moved := objectOf(t, c.changesets[j], changeset.Hyphenated)
			moved.Ref = stored.Ref
			if i != j {
				requireNamed(t, c.check(i, moved, changeset.Hyphenated), stored.Ref)
			}
			moved = objectOf(t, other.changesets[j], changeset.Hyphenated)
			moved.Ref = stored.Ref
			requireNamed(t, c.check(i, moved, changeset.Hyphenated), stored.Ref)
		}
	}
}

// unproved are the fields of a head that may be changed unnoticed: nothing
// proves by how many fences the revision is above the one that its changeset
// was built on; and a higher format that asks for no newer reader is what a
// later version of the library would write. Readers keep it, and can see it.
var unproved = regexp.MustCompile(`"revision":\d+|"format":\d`)

func TestEveryFlipOfAHeadIsNamed(t *testing.T) {
	c := history(t)
	newest := c.changesets[len(c.changesets)-1].Header
	record := encode(t, c.head)
	same := unproved.ReplaceAllString(record, "")
	passed, masks := 0, everyByte
	if testing.Short() {
		masks = everyBit
	}
	flips(record, masks, func(flipped string) {
		h, err := head.DecodeJSON("order-4711", "o", []byte(flipped))
		if err == nil {
			err = h.VerifyNewest(newest)
		}
		if err == nil {
			require.Equal(t, same, unproved.ReplaceAllString(flipped, ""), "a change passes: %s", flipped)
			require.True(t, h.Revision > newest.AfterRevision)
			require.True(t, h.Revision != c.head.Revision || h.Formats.Written > changeset.Format)
			passed++
			return
		}
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, flipped)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref)
	})
	require.Positive(t, passed, "the test sees what passes")
}
