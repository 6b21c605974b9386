package walk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
)

func TestFinderHasWhatItWraps(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
		return finder{changeset.NewPassThrough(inner)}
	})
}

// A reply counts only if it is of the object that was asked for, by its reference, its
// number and its format.
func TestRepliesAreIdentified(t *testing.T) {
	ref := changeset.Ref{AggregateID: "order-1", Version: 7, ID: changeset.NewID()}
	packed := ref
	packed.Count = 3
	h := changeset.Header{Ref: ref}
	o := changeset.Header{Ref: packed, Pack: &changeset.Pack{Index: changeset.ObjectIndexAt(5)}}
	versions, objects := &walk{}, &walk{packed: true}
	require.NoError(t, versions.identify(h, 7, ref))
	require.NoError(t, objects.identify(o, 0, packed))
	for _, err := range []error{
		versions.identify(h, 8, ref),
		versions.identify(h, 7, packed),
		versions.identify(o, 0, packed),
		objects.identify(o, 1, packed),
		objects.identify(o, 0, ref),
		objects.identify(h, 7, ref),
	} {
		require.ErrorAs(t, err, new(*changeset.CorruptError))
	}
}

// A body of lines is bounded by the format, and content by the option.
func TestBodiesAreAdmittedBySize(t *testing.T) {
	lines, alone := &changeset.Pack{Lines: true}, &changeset.Pack{}
	for _, headers := range []bool{false, true} {
		w := &walk{Span: Span{Headers: headers}, limits: Limits{MaxContentSize: 100}}
		require.NoError(t, w.admissible(changeset.Header{Pack: lines, BodySize: changeset.MaxReadBody}))
		require.ErrorAs(t, w.admissible(changeset.Header{Pack: lines, BodySize: changeset.MaxReadBody + 1}), new(*changeset.CorruptError))
		require.NoError(t, w.admissible(changeset.Header{Pack: alone, BodySize: 100}))
		if err := w.admissible(changeset.Header{Pack: alone, BodySize: 101}); headers {
			require.NoError(t, err, "it is not read")
		} else {
			require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
		}
	}
}
