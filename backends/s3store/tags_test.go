package s3store_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// found returns the reply to a GetObject of a head.
func found(t testing.TB, h head.Head, etag string) reply {
	t.Helper()
	record, err := head.EncodeJSON(h)
	require.NoError(t, err)
	return reply{status: http.StatusOK, header: map[string]string{"ETag": etag}, body: string(record)}
}

// TestNoETag: a head without an ETag is an error, and so is an object's
// acknowledgement; after a swap's the outcome is unknown. No empty condition is
// sent.
func TestNoETag(t *testing.T) {
	c, h := build(t, "hello")
	s := open(t, always(found(t, h, "")))
	_, err := s.Load(t.Context(), h.AggregateID)
	requireSetup(t, err, "the head without its ETag")
	_, err = s.Refresh(t.Context(), h.WithToken(`"1"`))
	requireSetup(t, err, "the head without its ETag")
	for _, err := range s.List(t.Context(), "") {
		require.Error(t, err)
	}

	stripped := always(found(t, h, ""))
	s = open(t, stripped)
	_, err = s.Swap(t.Context(), h, link.Fence(h))
	require.Equal(t, never, kindOf(err), "the token cannot be read")
	for _, r := range stripped.requests {
		require.Equal(t, http.MethodGet, r.Method)
	}

	for _, old := range []head.Head{{}, h.WithToken(`"1"`)} {
		next := h
		if old.Exists() {
			next = link.Fence(h)
		}
		_, err = open(t, always(reply{status: http.StatusOK, header: map[string]string{"ETag": ""}})).Swap(t.Context(), old, next)
		require.Equal(t, unknown, kindOf(err))
		requireSetup(t, err, "no ETag")
	}
	requireSetup(t, open(t, always(reply{status: http.StatusOK, header: map[string]string{"ETag": ""}})).Put(t.Context(), c), "no ETag")
}

// TestConditionsAreNeverEmpty: for every ETag that a server sends, a request
// that writes has one condition, which is not empty.
func TestConditionsAreNeverEmpty(t *testing.T) {
	_, h := build(t, "")
	for _, etag := range []string{"", " ", `"1"`, `W/"1"`, "1", `""`} {
		server := always(found(t, h, etag))
		s := open(t, server)
		loaded, err := s.Load(t.Context(), h.AggregateID)
		if err == nil {
			_, _ = s.Swap(t.Context(), loaded, link.Fence(loaded))
			_, _ = s.Refresh(t.Context(), loaded)
		}
		_, _ = s.Swap(t.Context(), h, link.Fence(h))
		_, _ = s.Swap(t.Context(), head.Head{}, h)
		_, _ = s.Check(t.Context())
		for _, r := range server.requests {
			for _, name := range []string{"If-Match", "If-None-Match"} {
				if values, sent := r.Header[name]; sent {
					require.NotEmpty(t, strings.TrimSpace(values[0]), "%q: %s", etag, name)
				}
			}
			if r.Method == http.MethodPut {
				require.NotEmpty(t, r.Header.Get("If-Match")+r.Header.Get("If-None-Match"), etag)
			}
		}
	}
}

// TestChangedETags: 412 with an unchanged head refuses the swap for good, and
// the error says what to look for.
func TestChangedETags(t *testing.T) {
	_, h := build(t, "")
	refused := reply{status: 412, code: "PreconditionFailed"}
	swap := func(old, next head.Head, now reply) error {
		_, err := open(t, oneAfterAnother(refused, now)).Swap(t.Context(), old, next)
		return err
	}
	for _, etag := range []string{`W/"1"`, `"1-gzip"`, "1"} {
		err := swap(h.WithToken(etag), link.Fence(h), found(t, h, etag))
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "the head is unchanged")
	}
	err := swap(head.Head{}, h, reply{status: 404, code: "NoSuchKey"})
	require.Equal(t, never, kindOf(err))
	requireSetup(t, err, "does not exist")

	err = swap(h.WithToken(`"1"`), link.Fence(h), found(t, link.Fence(h), `"2"`))
	require.Equal(t, gone, kindOf(err), "a conflict names the head that was found")
	err = swap(h.WithToken(`"1"`), link.Fence(h), found(t, h, `"2"`))
	require.Equal(t, gone, kindOf(err), "written again, unchanged: the next swap has the new ETag")
}

func TestServerWithoutConditionalWrites(t *testing.T) {
	c, h := build(t, "")
	s := open(t, always(reply{status: 501, code: "NotImplemented"}))
	requireSetup(t, s.Put(t.Context(), c), "does not offer conditional writes")
	_, err := s.Swap(t.Context(), head.Head{}, h)
	require.Equal(t, never, kindOf(err))
	requireSetup(t, err, "does not offer conditional writes")

	s = open(t, always(reply{status: 501, header: bare(nil)}))
	_, err = s.Swap(t.Context(), head.Head{}, h)
	require.Equal(t, unknown, kindOf(err), "a proxy's 501 says nothing about the server")
}

// TestClock: a request that is refused because of the clock is sent once more,
// with the server's time; also a swap, which the server has not applied.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := build(t, "")
		for name, call := range map[string]func(*s3store.Store) error{
			"put":  func(s *s3store.Store) error { return s.Put(t.Context(), c) },
			"swap": func(s *s3store.Store) error { _, err := s.Swap(t.Context(), head.Head{}, h); return err },
			"stat": func(s *s3store.Store) error { _, err := s.Stat(t.Context(), c.Ref); return err },
		} {
			server := &canned{}
			server.reply = func(_ int, r *http.Request) reply {
				now := time.Now().Add(time.Hour).UTC()
				date := map[string]string{"Date": now.Format(http.TimeFormat)}
				signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				require.NoError(t, err)
				switch {
				case now.Sub(signed).Abs() < time.Minute:
					good := stored(t, c)
					good.header["Date"] = date["Date"]
					return good
				case r.Method == http.MethodHead:
					return reply{status: 403, header: date}
				}
				return reply{status: 403, code: "RequestTimeTooSkewed", header: date}
			}
			s := open(t, server)
			require.NoError(t, call(s), name)
			require.Len(t, server.requests, 2, name)
			require.NoError(t, call(s), name)
			require.Len(t, server.requests, 3, "%s: the SDK has learned the difference", name)
		}
		_, err := open(t, always(reply{status: 403, code: "RequestTimeTooSkewed"})).Swap(t.Context(), head.Head{}, h)
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "clock")
	})
}

func TestNoRegion(t *testing.T) {
	c, h := build(t, "")
	server := always(reply{status: http.StatusOK})
	s := openIn(t, "", server)
	requireSetup(t, s.Put(t.Context(), c), "no region")
	_, err := s.Swap(t.Context(), head.Head{}, h)
	require.Equal(t, never, kindOf(err))
	require.Empty(t, server.requests)
}

// TestNoContentLength: the size of a changeset is what arrives.
func TestNoContentLength(t *testing.T) {
	c, h := build(t, "hello")
	whole := stored(t, c)
	whole.header["Content-Length"] = ""
	s := open(t, always(whole))
	got, err := s.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
	info, err := s.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	require.Equal(t, c.Header, info.Header)

	cut := whole
	cut.body = "hel"
	got, err = open(t, oneAfterAnother(cut, whole)).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
	got, err = open(t, always(cut)).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Error(t, got.VerifyBody())

	refused := fmt.Errorf("refused")
	got, err = s.Get(t.Context(), c.Ref, func(changeset.Header) error { return refused })
	require.Equal(t, refused, err)
	require.Empty(t, got.Content)

	record := found(t, h, `"1"`)
	record.header["Content-Length"] = ""
	half := record
	half.body = record.body[:10]
	loaded, err := open(t, oneAfterAnother(half, record)).Load(t.Context(), h.AggregateID)
	require.NoError(t, err)
	require.True(t, loaded.SameRecord(h))
}

// TestLoadReadsAgain what broke off.
func TestLoadReadsAgain(t *testing.T) {
	_, h := build(t, "")
	whole := found(t, h, `"1"`)
	cut := whole
	cut.body = whole.body[:20]
	cut.header = map[string]string{"ETag": `"1"`, "Content-Length": fmt.Sprint(len(whole.body))}
	server := oneAfterAnother(cut, cut, whole)
	loaded, err := open(t, server).Load(t.Context(), h.AggregateID)
	require.NoError(t, err)
	require.Equal(t, h.WithToken(`"1"`), loaded)
	require.Len(t, server.requests, 3)
	_, err = open(t, always(cut)).Load(t.Context(), h.AggregateID)
	require.ErrorContains(t, err, "20 bytes arrived")
}

// TestPages: a listing goes on while there is a token, and ends with an error if
// it could not end, or would end too early.
func TestPages(t *testing.T) {
	page := func(more string) reply {
		return reply{status: 200, body: "<ListBucketResult>" + more + "</ListBucketResult>"}
	}
	next := "<NextContinuationToken>a</NextContinuationToken>"
	for name, test := range map[string]struct {
		pages []reply
		err   string
	}{
		"one":                  {[]reply{page("")}, ""},
		"two":                  {[]reply{page("<IsTruncated>true</IsTruncated>" + next), page("")}, ""},
		"a token alone":        {[]reply{page(next), page("")}, ""},
		"truncated, no token":  {[]reply{page("<IsTruncated>true</IsTruncated>")}, "names no next page"},
		"the same token again": {[]reply{page(next), page(next)}, "names itself"},
	} {
		t.Run(name, func(t *testing.T) {
			server := oneAfterAnother(test.pages...)
			s := open(t, server)
			_, err := all(s.Objects(t.Context(), "order-1"))
			require.Len(t, server.requests, len(test.pages))
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
				requireSetup(t, err, "not from S3")
			}
		})
	}
}
