package s3store_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// TestHeadsAreNotSwappedTogether: a commit of several aggregates sends nothing, also
// through decorators that pass on what the store cannot do.
func TestHeadsAreNotSwappedTogether(t *testing.T) {
	server := always(reply{status: 200})
	s := open(t, server)
	_, ok := head.As[head.Transactor](s)
	require.False(t, ok)
	_, h := build(t, "one")
	for _, heads := range []head.Store{s, head.NewPassThrough(s)} {
		store := ropewalk.New(s, heads, nil)
		_, err := store.Commit(t.Context(),
			store.Chain(h.AggregateID).Appending(h, changeset.Draft{Content: []byte("two")}),
			store.Chain("other").Appending(head.Head{}, changeset.Draft{Content: []byte("one")}))
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "DynamoDB")
	}
	require.Empty(t, server.requests)
}
