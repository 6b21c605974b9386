package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/head"
)

var nameKey = []byte("a secret of the tests")

func email(address string) string { return fmt.Sprintf(`{"email":%q}`, address) }

func TestAddressesAreUnique(t *testing.T) {
	c, storage := start(t)
	require.Equal(t, 404, c.send("GET", "/customers/ann", "").status)
	for _, address := range []string{"ann@example.com", "ann@example.com", "Ann@example.com"} {
		require.JSONEq(t, email(address), c.send("PUT", "/customers/ann", email(address)).body)
	}
	taken := c.send("PUT", "/customers/bob", email(" ANN@example.com "))
	require.Equal(t, 422, taken.status)
	require.Contains(t, taken.body, "another customer has this address")
	require.Equal(t, 404, c.send("GET", "/customers/bob", "").status, "without an address there is no customer")
	require.Equal(t, 2, versions(t, storage, "customer-ann"), "the same address again changes nothing")

	require.Equal(t, 200, c.send("PUT", "/customers/ann", email("ann@example.org")).status)
	require.Equal(t, 200, c.send("PUT", "/customers/bob", email("ann@example.com")).status, "it is free again")
	require.JSONEq(t, email("ann@example.org"), c.send("GET", "/customers/ann", "").body)
	for _, bad := range []string{"", "ann", "@" + strings.Repeat("a", maxText)} {
		require.Equal(t, 422, c.send("PUT", "/customers/ann", email(bad)).status)
	}
	for _, path := range []string{"/orders/customer-ann", "/orders/" + addressPrefix + "1"} {
		require.Equal(t, 400, c.send("GET", path, "").status)
		require.Equal(t, 400, c.send("PUT", path, `{"customer":"ann"}`, "If-None-Match", "*").status)
		require.Equal(t, 400, c.send("POST", path+"/lines", rope).status)
	}
}

func TestOneOfManyGetsTheAddress(t *testing.T) {
	c, _ := start(t)
	var statuses [16]int
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() { statuses[i] = c.send("PUT", fmt.Sprintf("/customers/%d", i), email("info@example.com")).status })
	}
	group.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	require.Equal(t, map[int]int{200: 1, 422: 15}, count)
}

// A customer whose reply is lost sends the same request again.
func TestUncertainAddressIsSentAgain(t *testing.T) {
	c, storage := start(t)
	storage.Script.Next(faults.SwapAll, faults.Fault{Kind: faults.Lost})
	require.Equal(t, 200, c.send("PUT", "/customers/ann", email("ann@example.com")).status, "it is looked up")
	require.Equal(t, 1, versions(t, storage, "customer-ann"))

	unknown := ofCustomer(&ropewalk.UncertainError{})
	require.Equal(t, 503, answerTo(unknown).status)
	require.NotErrorIs(t, unknown, ropewalk.ErrUncertain, "there is no link to settle it by")
	require.Equal(t, 200, c.send("PUT", "/customers/ann", email("ann@example.com")).status)
	require.Equal(t, 1, versions(t, storage, "customer-ann"))
}

// A store whose heads cannot be swapped together still keeps orders.
func TestAddressesNeedATransactor(t *testing.T) {
	db := memstore.New()
	s := newService(ropewalk.New(db, struct{ head.Store }{db}, nil), nameKey, slog.New(slog.DiscardHandler))
	require.Equal(t, 501, answerOf(t, s, "PUT /customers/{id}").Code)
	require.Equal(t, 201, answerOf(t, s, "PUT /orders/{id}").Code)
}

// A changed ID would let an address be claimed twice.
func TestStoredCustomers(t *testing.T) {
	require.Equal(t, "email1-8758af5d1e307ffe4e1678a2befc73b4ceb618c5cbc9fcb34ae13f4e5f6174f2", customers{key: nameKey}.addressID(" Ann@example.com"))
}
