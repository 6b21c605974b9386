package names

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/gc"
	"ropewalk/head"
)

// A changed ID would let a name be claimed twice.
func TestIDsArePinned(t *testing.T) {
	c := Customers{Key: key}
	const id = "email1-8758af5d1e307ffe4e1678a2befc73b4ceb618c5cbc9fcb34ae13f4e5f6174f2"
	for _, email := range []string{"ann@example.com", " Ann@Example.COM\t"} {
		require.Equal(t, id, c.nameID(email))
	}
	require.NotEqual(t, id, c.nameID("anna@example.com"))
	require.NotEqual(t, id, Customers{Key: []byte("another key")}.nameID("ann@example.com"))
	require.NotContains(t, id, "example")
}

func TestHand(t *testing.T) {
	for _, c := range []struct {
		owner, from, to string
		becomes         string
		err             error
	}{
		{"", "", "ann", `{"owner":"ann"}`, nil},
		{"ann", "", "ann", "", nil},
		{"bob", "", "ann", "", ErrTaken},
		{"ann", "ann", "", `{}`, nil},
		{"", "ann", "", "", nil},
		{"bob", "ann", "", "", ErrTaken},
		{"ann", "ann", "bob", `{"owner":"bob"}`, nil},
		{"bob", "ann", "bob", "", nil},
		{"", "ann", "bob", "", ErrTaken},
		{"ann", "ann", "ann", "", nil},
	} {
		drafts, err := hand(c.owner, c.from, c.to)
		require.Equal(t, c.err, err, c)
		if c.becomes == "" {
			require.Empty(t, drafts, c)
			continue
		}
		require.Equal(t, c.becomes, string(drafts[0].Content), c)
	}
}

func TestOwnNamesAreNotClaimedAgain(t *testing.T) {
	db := memstore.New()
	c := Customers{ropewalk.New(db, db, nil), key}
	set := func(email string) []ropewalk.Head {
		t.Helper()
		heads, err := c.SetEmails(t.Context(), map[string]string{"customer-1": email})
		require.NoError(t, err)
		return heads
	}
	first := set("ann@example.com")
	require.Equal(t, first, set("ann@example.com"), "nothing is appended")
	other := set("Ann@example.com")
	require.EqualValues(t, 1, other[0].Version, "the customer writes it in another way")
	require.Equal(t, first[1], other[1], "it is the same name")
	_, err := c.SetEmails(t.Context(), map[string]string{"customer-2": "bob@example.com", "customer-3": "BOB@example.com"})
	require.ErrorIs(t, err, ErrTaken, "they cannot both have it")
}

func TestErasedNamesCannotBeClaimed(t *testing.T) {
	db := memstore.New()
	c := Customers{ropewalk.New(db, db, nil), key}
	for _, email := range []string{"ann@example.com", ""} {
		_, err := c.SetEmails(t.Context(), map[string]string{"customer-1": email})
		require.NoError(t, err)
	}
	_, err := gc.New(db, db, nil).Erase(t.Context(), c.nameID("ann@example.com"))
	require.NoError(t, err)
	_, err = c.SetEmails(t.Context(), map[string]string{"customer-2": "ann@example.com"})
	require.ErrorIs(t, err, ropewalk.ErrErased)
	_, err = c.Store.Chain("customer-2").Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

// Heads that cannot be swapped together are refused before anything is sent.
func TestNamesNeedATransactor(t *testing.T) {
	db := memstore.New()
	c := Customers{ropewalk.New(db, alone{db}, nil), key}
	_, err := c.SetEmails(t.Context(), map[string]string{"customer-1": "ann@example.com"})
	require.True(t, errors.Is(err, errors.ErrUnsupported), err)
	_, err = c.Store.Chain("customer-1").Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

type alone struct{ head.Store }
