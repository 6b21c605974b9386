package azurestore_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
)

// run runs an operation on a service whose n-th reply, from 0, is changed. It
// returns the writes that were sent, too: nothing may be written on the strength
// of a reply that is not whole.
func (w *world) run(t *testing.T, op operation, n int, change func(*http.Response)) (result any, writes []string, replies int, err error) {
	t.Helper()
	w.fresh = op.fresh
	s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			body, _ := io.ReadAll(cmp.Or[io.Reader](r.Body, http.NoBody))
			writes = append(writes, strings.Join([]string{r.Method, r.URL.RawQuery, header(r, "If-Match"), header(r, "If-None-Match"), string(body)}, " "))
		}
		reply := w.answer(r)
		if replies == n {
			change(reply)
		}
		replies++
		require.Less(t, replies, 50, "it does not end")
		return reply, nil
	})
	result, err = op.call(t.Context(), s)
	return result, writes, replies, err
}

// TestNothingIsMadeOfAReplyThatIsNotWhole: a call whose replies lack a header or
// an element returns its usual result, or an error.
func TestNothingIsMadeOfAReplyThatIsNotWhole(t *testing.T) {
	w := newWorld(t)
	for name, op := range w.operations() {
		t.Run(name, func(t *testing.T) {
			want, wantWrites, replies, wantErr := w.run(t, op, -1, nil)
			require.Equal(t, slices.Contains([]string{"get nothing", "stat nothing", "swap stale"}, name), wantErr != nil)
			for n := range replies {
				for what, change := range w.changes(t, op, n) {
					got, writes, _, err := w.run(t, op, n, change)
					if what == "without X-Ms-Request-Id" {
						require.ErrorContains(t, err, "not from Azure Blob Storage", "reply %d", n)
					}
					if err != nil {
						require.Subset(t, wantWrites, writes, "reply %d %s: %v", n, what, err)
						continue
					}
					require.NoError(t, wantErr, "reply %d %s", n, what)
					require.Equal(t, want, got, "reply %d %s", n, what)
					require.Equal(t, wantWrites, writes, "reply %d %s", n, what)
				}
			}
		})
	}
}

// optional are the headers and elements that the service may leave out.
var optional = []string{"Blob", "BlobPrefix", "SignedIdentifier", "Permission", "X-Ms-Blob-Public-Access"}

// changes returns the ways to change the n-th reply to an operation.
func (w *world) changes(t *testing.T, op operation, n int) map[string]func(*http.Response) {
	t.Helper()
	var header http.Header
	var body []byte
	_, _, _, _ = w.run(t, op, n, func(r *http.Response) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		setBody(r, body)
	})
	changes := map[string]func(*http.Response){
		"without a body": func(r *http.Response) { setBody(r, nil) },
		"as a page":      func(r *http.Response) { setBody(r, []byte("<html><Blobs/><NextMarker/></html>")) },
		"as JSON":        func(r *http.Response) { setBody(r, []byte(`{"status":"running"}`)) },
		"without a mark": func(r *http.Response) { r.Header = http.Header{} },
		"cut":            func(r *http.Response) { setBody(r, body[:len(body)/2]) },
	}
	if len(body) == 0 {
		changes = map[string]func(*http.Response){}
	}
	for key := range header {
		if !slices.Contains(optional, key) {
			changes["without "+key] = func(r *http.Response) { r.Header.Del(key) }
		}
	}
	for what, shorter := range withoutElements(body) {
		changes["without "+what] = func(r *http.Response) { setBody(r, shorter) }
	}
	return changes
}

func setBody(r *http.Response, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// withoutElements returns the document once without each of its elements.
func withoutElements(body []byte) map[string][]byte {
	shorter := map[string][]byte{}
	if !bytes.HasPrefix(body, []byte("<?xml")) {
		return shorter
	}
	type open struct {
		name string
		from int64
	}
	var stack []open
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		from := decoder.InputOffset()
		token, err := decoder.Token()
		if err != nil {
			return shorter
		}
		switch element := token.(type) {
		case xml.StartElement:
			stack = append(stack, open{element.Name.Local, from})
		case xml.EndElement:
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !slices.Contains(optional, last.name) {
				shorter[fmt.Sprintf("%s at %d", last.name, last.from)] = slices.Concat(body[:last.from], body[decoder.InputOffset():])
			}
		}
	}
}

// The check of the setup claims nothing that the replies do not say.
func TestCheckClaimsNothingOfAReplyThatIsNotWhole(t *testing.T) {
	for n := range 20 {
		for _, key := range []string{"X-Ms-Request-Id", "X-Ms-Version", "Etag", "X-Ms-Has-Immutability-Policy", "X-Ms-Has-Legal-Hold"} {
			a, replies, matters := &account{}, 0, false
			s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
				reply, err := a.answer(r)
				if replies == n && reply.StatusCode < 300 && r.Method != http.MethodDelete && r.URL.Path != "/" {
					matters = reply.Header.Get(key) != "" && (!strings.HasPrefix(key, "X-Ms-Has") || strings.HasSuffix(r.URL.Path, "/aggregates"))
					reply.Header.Del(key)
				}
				replies++
				return reply, err
			})
			findings, err := s.Check(t.Context())
			fine := err == nil && !slices.ContainsFunc(findings, func(f azurestore.Finding) bool { return !f.OK })
			require.False(t, matters && fine, "reply %d without %s", n, key)
		}
	}
}

// FuzzReplies: no reply makes a call panic or run on.
func FuzzReplies(f *testing.F) {
	w := newWorld(f)
	names := slices.Sorted(maps.Keys(w.operations()))
	for i := range names {
		f.Add(uint8(i), 200, uint32(1<<31-1), `<EnumerationResults><Blobs><Blob/><BlobPrefix/></Blobs><NextMarker>x</NextMarker></EnumerationResults>`)
		f.Add(uint8(i), 304, uint32(1<<31-1), "")
		f.Add(uint8(i), 412, uint32(1<<31-1), "<Error><Code>ConditionNotMet</Code></Error>")
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, mask uint32, body string) {
		if status < 200 || status > 599 {
			return
		}
		requests := 0
		s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			if requests++; requests > 100 {
				t.Fatal("it does not end")
			}
			consume(r)
			all := with(stored(r, w.stored, -1), "Content-Length", fmt.Sprint(len(body)), "x-ms-error-code", "ConditionNotMet")
			reply := respond(r, status, body)
			reply.Header = http.Header{}
			for i, key := range slices.Sorted(maps.Keys(all.Header)) {
				if mask&(1<<i) != 0 {
					reply.Header[key] = all.Header[key]
				}
			}
			return reply, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = w.operations()[names[int(which)%len(names)]].call(ctx, s)
	})
}
