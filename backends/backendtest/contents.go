package backendtest

import (
	"testing"

	"ropewalk/changeset"
	"ropewalk/head"
)

var contentChecks = []check{
	{"Content: of 0, 1 and 1 MiB + 1 bytes comes back as it was put", contentOfSizes},
	{"Content: of MaxContent bytes comes back as it was put", contentOfMaxSize},
	{"Content: whatever looks like another encoding comes back as it was put", contentThatLooksEncoded},
	{"Content: every valid content type comes back as it was put", contentTypes},
	{"Metadata: the largest there can be comes back as it was put", worstMetadata},
	{"Metadata: the largest there can be of an object of a packed chain comes back as it was put", worstPackMetadata},
}

func contentOfSizes(t testing.TB, h Harness) {
	s := h.Changesets(t)
	for _, size := range []int64{0, 1, 1<<20 + 1} {
		c := first(t, newAggregate(), noise(size))
		put(t, s, c)
		requireStored(t, s, c)
	}
}

func contentOfMaxSize(t testing.TB, h Harness) {
	c := first(t, newAggregate(), noise(h.MaxContent))
	put(t, h.Changesets(t), c)
	requireStored(t, h.Changesets(t), c)
}

func contentThatLooksEncoded(t testing.TB, h Harness) {
	s := h.Changesets(t)
	for _, content := range []string{"\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd", "\xef\xbb\xbf\r\n\x00\n", "\r\n", "5\r\nhello\r\n0\r\n\r\n", "bm90IGJhc2U2NA=="} {
		c := first(t, newAggregate(), []byte(content))
		put(t, s, c)
		requireStored(t, s, c)
	}
}

func contentTypes(t testing.TB, h Harness) {
	s := h.Changesets(t)
	for _, contentType := range []string{
		"x",
		"text/plain; charset=UTF-8",
		`multipart/mixed;  boundary="a , b"`,
		"!\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
		longContentType,
	} {
		cs, _ := extend(t, head.Head{}, newAggregate(), changeset.Draft{ContentType: contentType})
		put(t, s, cs...)
		requireStored(t, s, cs[0])
	}
}

func worstMetadata(t testing.TB, h Harness) {
	c := worst(t)
	put(t, h.Changesets(t), c)
	requireStored(t, h.Changesets(t), c)
}

func worstPackMetadata(t testing.TB, h Harness) {
	for _, c := range worstPacks(t) {
		put(t, h.Changesets(t), c)
		requireStored(t, h.Changesets(t), c)
	}
}
