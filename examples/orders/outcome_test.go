package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUncertainIsSettledByItsLink(t *testing.T) {
	for _, committed := range []bool{true, false} {
		t.Run(fmt.Sprint("committed ", committed), func(t *testing.T) {
			c, storage := start(t)
			order := c.create("a/b@c")
			heal := storage.Uncertain(committed)
			told, link := c.uncertain("/orders/a%2Fb@c/lines", "If-Match", order.etag)
			again := c.send("POST", link, "")
			require.Equal(t, 503, again.status, "no answer yet")
			require.Contains(t, again.body, told.Ref)

			heal()
			settled := c.send("POST", link, "")
			settledAgain := c.send("POST", link, "")
			require.Equal(t, settled.status, settledAgain.status, "settled for good")
			require.Equal(t, settled.etag, settledAgain.etag)
			if !committed {
				require.Equal(t, 412, settled.status, settled.body)
				require.Equal(t, order.etag, settled.etag, "the order is as it was: the request can be sent again")
				settled = c.send("POST", "/orders/a%2Fb@c/lines", rope, "If-Match", settled.etag)
			}
			require.Equal(t, 200, settled.status, settled.body)
			require.JSONEq(t, `{"customer":"ann","lines":{"rope":4},"shipped":false}`, settled.body)
			require.Equal(t, 3, versions(t, storage, "a/b@c"))
		})
	}
}

func TestUncertainIsRefusedWhereAnotherCameFirst(t *testing.T) {
	c, storage := start(t)
	order := c.create("4711")
	heal := storage.Uncertain(false)
	_, link := c.uncertain("/orders/4711/lines", "If-Match", order.etag)
	heal()
	require.Equal(t, 200, c.send("POST", "/orders/4711/ship", "", "If-Match", order.etag).status)
	require.Equal(t, 412, c.send("POST", link, "").status)
	require.Equal(t, 3, versions(t, storage, "4711"))
}

// uncertain adds a line, requires that the outcome is unknown, and returns the
// answer and its link.
func (c client) uncertain(path string, headers ...string) (told failure, link string) {
	c.t.Helper()
	r := c.send("POST", path, rope, headers...)
	require.Equal(c.t, 503, r.status, r.body)
	require.Equal(c.t, "1", r.header.Get("Retry-After"))
	require.NoError(c.t, json.Unmarshal([]byte(r.body), &told))
	require.Equal(c.t, "<"+told.Settle+`>; rel="settle"`, r.header.Get("Link"))
	return told, told.Settle
}

// withDate returns a reply with the date and the request ID of another reply, for comparing.
func withDate(r, other reply) reply {
	r.header.Set("Date", other.header.Get("Date"))
	r.header.Set(requestIDHeader, other.header.Get(requestIDHeader))
	return r
}

func TestRepeatedCommandHappensOnce(t *testing.T) {
	c, storage := start(t)
	create := func() reply {
		return c.send("PUT", "/orders/4711", `{"customer":"ann"}`, "If-None-Match", "*", "Idempotency-Key", "k-1")
	}
	created := create()
	require.Equal(t, 201, created.status)
	require.Equal(t, created, withDate(create(), created))

	add := func() reply {
		return c.send("POST", "/orders/4711/lines", rope, "If-Match", created.etag, "Idempotency-Key", "k-2")
	}
	storage.LoseReply() // of the storage: the service looks the outcome up
	added := add()
	require.Equal(t, 200, added.status, added.body)
	require.Equal(t, added, withDate(add(), added), "though the head has moved on from its If-Match")
	require.Equal(t, 2, versions(t, storage, "4711"))
}

func TestUncertainCommandIsRepeated(t *testing.T) {
	for _, committed := range []bool{true, false} {
		t.Run(fmt.Sprint("committed ", committed), func(t *testing.T) {
			c, storage := start(t)
			order := c.create("4711")
			heal := storage.Uncertain(committed)
			headers := []string{"If-Match", order.etag, "Idempotency-Key", "k-1"}
			_, link := c.uncertain("/orders/4711/lines", headers...)
			heal()
			for range 2 {
				added := c.send("POST", "/orders/4711/lines", rope, headers...)
				require.Equal(t, 200, added.status, added.body)
				require.JSONEq(t, `{"customer":"ann","lines":{"rope":4},"shipped":false}`, added.body)
			}
			require.Equal(t, 3, versions(t, storage, "4711"))
			c.send("POST", link, "") // the link of the first attempt adds nothing, whatever it says
			require.Equal(t, 3, versions(t, storage, "4711"))
		})
	}
}
