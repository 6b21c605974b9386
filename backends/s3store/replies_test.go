package s3store_test

import (
	"fmt"
	"iter"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// faithful is a server that replies as S3 does for a bucket with one chain and
// two more heads and folders, in pages of one.
type faithful struct {
	t         *testing.T
	changeset changeset.Changeset
	head      head.Head
}

func newFaithful(t *testing.T) faithful {
	c, h := build(t, "hello")
	return faithful{t, c, h.WithToken(`"1"`)}
}

func (f faithful) reply(r *http.Request) reply {
	record, err := head.EncodeJSON(f.head)
	require.NoError(f.t, err)
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "probe") && r.Header.Get("If-Match") == `"9"`:
		return reply{status: 412, code: "PreconditionFailed"}
	case r.Method == http.MethodDelete:
		return reply{status: 204, header: map[string]string{"ETag": "", "Content-Length": ""}}
	case query.Has("list-type"):
		return f.listing(query.Get("continuation-token"), query.Has("delimiter") && strings.HasSuffix(query.Get("prefix"), changeset.Folder), query.Get("prefix"))
	case query.Has("lifecycle"):
		return reply{status: 404, code: "NoSuchLifecycleConfiguration"}
	case query.Has("publicAccessBlock"):
		return reply{status: 200, body: publicAccess(true)}
	case query.Has("encryption"):
		return reply{status: 200, body: encryption}
	case query.Has("versioning"):
		return reply{status: 200, body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}
	case strings.Contains(r.URL.Path, "/heads/"):
		return reply{status: 200, header: map[string]string{"ETag": `"1"`}, body: string(record)}
	case strings.Contains(r.URL.Path, "/changesets/"):
		return stored(f.t, f.changeset)
	}
	return reply{status: 200}
}

// listing returns a page of one object or folder, of two in all.
func (f faithful) listing(token string, folders bool, prefix string) reply {
	name := f.changeset.ObjectName()
	if strings.HasSuffix(prefix, head.Folder) {
		name = head.ObjectName(f.head.AggregateID)
	}
	entry := "<Contents><Key>p/" + name + "</Key><Size>5</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;1&quot;</ETag></Contents>"
	if folders {
		entry = "<CommonPrefixes><Prefix>p/" + changeset.FolderOf(f.head.AggregateID) + "</Prefix></CommonPrefixes>"
	}
	more := "<IsTruncated>true</IsTruncated><NextContinuationToken>second</NextContinuationToken>"
	if token == "second" {
		entry, more = strings.ReplaceAll(entry, "order-1", "order-2"), "<IsTruncated>false</IsTruncated>"
		if strings.HasSuffix(prefix, head.Folder) {
			entry = strings.ReplaceAll(entry, "order-2", "order-1")
		}
	}
	return reply{status: 200, body: "<?xml version=\"1.0\"?>\n<ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount>" + entry + more + "</ListBucketResult>"}
}

// calls are all operations. Each returns its result as text.
func (f faithful) calls() map[string]func(*testing.T, *s3store.Store) (string, error) {
	ref, id := f.changeset.Ref, f.head.AggregateID
	text := func(v any, err error) (string, error) { return fmt.Sprintf("%+v", v), err }
	return map[string]func(*testing.T, *s3store.Store) (string, error){
		"Put":        func(t *testing.T, s *s3store.Store) (string, error) { return "", s.Put(t.Context(), f.changeset) },
		"Get":        func(t *testing.T, s *s3store.Store) (string, error) { return text(s.Get(t.Context(), ref, nil)) },
		"Stat":       func(t *testing.T, s *s3store.Store) (string, error) { return text(s.Stat(t.Context(), ref)) },
		"Delete":     func(t *testing.T, s *s3store.Store) (string, error) { return "", s.Delete(t.Context(), ref) },
		"Load":       func(t *testing.T, s *s3store.Store) (string, error) { return text(s.Load(t.Context(), id)) },
		"Refresh":    func(t *testing.T, s *s3store.Store) (string, error) { return text(s.Refresh(t.Context(), f.head)) },
		"Objects":    func(t *testing.T, s *s3store.Store) (string, error) { return all(s.Objects(t.Context(), id)) },
		"Aggregates": func(t *testing.T, s *s3store.Store) (string, error) { return all(s.Aggregates(t.Context(), "")) },
		"List":       func(t *testing.T, s *s3store.Store) (string, error) { return all(s.List(t.Context(), "")) },
		"Tags":       func(t *testing.T, s *s3store.Store) (string, error) { return all(s.Tags(t.Context(), "")) },
		"Provision":  func(t *testing.T, s *s3store.Store) (string, error) { return "", s.Provision(t.Context()) },
		"Check": func(t *testing.T, s *s3store.Store) (string, error) {
			findings, err := s.Check(t.Context())
			var got string
			for _, f := range findings {
				got += fmt.Sprintf("%s OK:%t\n", f, f.OK)
			}
			return got, err
		},
		"Create": func(t *testing.T, s *s3store.Store) (string, error) {
			_, err := s.Swap(t.Context(), head.Head{}, f.head)
			return "", err
		},
		"Swap": func(t *testing.T, s *s3store.Store) (string, error) {
			_, err := s.Swap(t.Context(), f.head, link.Fence(f.head))
			return "", err
		},
	}
}

// all returns all that a listing yields, and its error.
func all[T any](listing iter.Seq2[T, error]) (string, error) {
	var text strings.Builder
	for item, err := range listing {
		if err != nil {
			return text.String(), err
		}
		fmt.Fprintf(&text, "%+v\n", item)
	}
	return text.String(), nil
}

// change is a way in which a reply can arrive that differs from what S3 sent.
type change struct {
	name string
	make func(reply) reply
	// harmless are the operations that may end as if nothing had been changed.
	harmless bool
}

var element = regexp.MustCompile(`<([A-Za-z]+)>`)

// changes returns the changes that remove a part of a reply, one part each, and
// the changes that put another reply in its place.
func changes(r *http.Request, good reply) (all []change) {
	header := map[string]string{"X-Amz-Request-Id": "", "Content-Length": "", "ETag": ""}
	maps.Copy(header, good.header)
	for name := range header {
		all = append(all, change{"without " + name, func(r reply) reply {
			r.header = maps.Clone(r.header)
			if r.header == nil {
				r.header = map[string]string{}
			}
			r.header[name] = ""
			return r
		}, true})
	}
	for _, name := range elements(good.body) {
		whole := regexp.MustCompile(`(?s)<` + name + `>.*?</` + name + `>`)
		all = append(all, change{"without <" + name + ">", func(r reply) reply { r.body = whole.ReplaceAllString(r.body, ""); return r }, true})
	}
	page := func(status int, kind, body string) func(reply) reply {
		return func(reply) reply {
			return reply{status: status, header: bare(map[string]string{"Content-Type": kind}), body: body}
		}
	}
	return append(all,
		change{"a login page", page(200, "text/html", "<html><body>log in</body></html>"), false},
		change{"a cached login page", func(r reply) reply {
			return reply{status: 200, header: map[string]string{"X-Amz-Request-Id": "", "Content-Type": "text/html"}, body: "<html></html>"}
		}, false},
		change{"JSON", page(200, "application/json", `{"status":"running"}`), false},
		change{"nothing", page(200, "text/plain", ""), false},
		change{"no content", page(204, "", ""), false},
		change{"not modified", page(304, "", ""), false},
		change{"a redirect", page(302, "text/html", "<html></html>"), false},
		change{"no such page", page(404, "text/html", "<html></html>"), false},
		change{"404 alone", page(404, "", ""), false},
		change{"412 alone", page(412, "text/html", "<html></html>"), false},
		change{"501 alone", page(501, "text/html", "<html></html>"), false},
		change{"a bad gateway", page(502, "text/html", "<html></html>"), false},
		change{"an empty body", func(r reply) reply { r.body = ""; return r }, true},
		change{"half a body", func(r reply) reply { r.body = r.body[:len(r.body)/2]; return r }, true},
	)
}

func elements(body string) []string {
	found := map[string]bool{}
	for _, match := range element.FindAllStringSubmatch(body, -1) {
		found[match[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// TestWhatIsMissingIsNoticed: without any one part of any one reply, and with
// another server's reply in its place, every operation returns the same result
// as before or an error. It does not panic, and does not take a reply for success
// or for an empty store.
func TestWhatIsMissingIsNoticed(t *testing.T) {
	f := newFaithful(t)
	for name, call := range f.calls() {
		synctest.Test(t, func(t *testing.T) {
			var requests []*http.Request
			want, err := call(t, open(t, doFunc(func(r *http.Request) (*http.Response, error) {
				requests = append(requests, r)
				return always(f.reply(r)).Do(r)
			})))
			require.NoError(t, err, name)
			for n, request := range requests {
				for _, c := range changes(request, f.reply(request)) {
					got, err := call(t, f.with(t, n, c))
					if err != nil && name != "Check" {
						require.NotEqual(t, "conflict with no head", kindOf(err), "%s: %s at %d: %v", name, c.name, n, err)
						continue
					}
					require.True(t, c.harmless || name == "Check" || name == "Stat", "%s: %s at %d is not noticed", name, c.name, n)
					requireSame(t, want, got, c, name)
				}
			}
		})
	}
}

// with returns a store whose n-th reply is changed.
func (f faithful) with(t *testing.T, n int, c change) *s3store.Store {
	i := 0
	oneAttempt := func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
	return open(t, doFunc(func(r *http.Request) (*http.Response, error) {
		answer := f.reply(r)
		if i == n {
			answer = c.make(answer)
		}
		i++
		return always(answer).Do(r)
	}), oneAttempt)
}

var modified = regexp.MustCompile(`LastModified:\S+ \S+ \S+ \S+`)

// requireSame demands the same result. Only the time of an object may be
// missing, and a finding may be that something is wrong.
func requireSame(t *testing.T, want, got string, c change, name string) {
	t.Helper()
	switch {
	case name == "Check":
		if !c.harmless {
			require.Contains(t, got, "OK:false", "%s: %s", name, c.name)
		}
	default:
		require.Equal(t, modified.ReplaceAllString(want, ""), modified.ReplaceAllString(got, ""), "%s: %s", name, c.name)
	}
}
