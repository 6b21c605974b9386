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
	"ropewalk/changeset"
	"ropewalk/head"
)

// world is an account that answers as the service does, with all its headers.
type world struct {
	stored changeset.Changeset
	next   head.Head
	record []byte
	fresh  bool // nothing is stored
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, next := built(t)
	record, err := head.EncodeJSON(next)
	require.NoError(t, err)
	return &world{stored: c, next: next, record: record}
}

func (w *world) answer(r *http.Request) *http.Response {
	consume(r)
	q := r.URL.Query()
	blob := strings.Count(r.URL.Path, "/") > 1
	switch operation := r.Method + " " + q.Get("restype") + q.Get("comp"); {
	case operation == "GET containerlist":
		return w.list(r, q.Get("delimiter"), q.Get("marker"))
	case operation == "GET container":
		return with(respond(r, 200, ""), "ETag", `"0x9"`, "x-ms-has-immutability-policy", "false", "x-ms-has-legal-hold", "false", "x-ms-blob-public-access", "blob")
	case operation == "GET containeracl":
		return with(respond(r, 200, xml.Header+`<SignedIdentifiers><SignedIdentifier><Id>p</Id><AccessPolicy><Permission>r</Permission></AccessPolicy></SignedIdentifier></SignedIdentifiers>`), "x-ms-blob-public-access", "blob")
	case operation == "PUT container":
		return refusing(r, 409, "ContainerAlreadyExists")
	case operation == "PUT containeracl":
		return with(respond(r, 200, ""), "ETag", `"0x9"`)
	case operation == "GET accountproperties":
		return with(respond(r, 200, ""), "x-ms-sku-name", "Standard_ZRS", "x-ms-account-kind", "StorageV2", "x-ms-is-hns-enabled", "false")
	case operation == "GET serviceproperties":
		return respond(r, 200, xml.Header+`<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled><Days>7</Days></DeleteRetentionPolicy></StorageServiceProperties>`)
	case r.Method == http.MethodDelete:
		return with(respond(r, 202, ""), "x-ms-delete-type-permanent", "true")
	case blob && r.Method == http.MethodPut:
		return w.put(r)
	case blob:
		return w.read(r)
	}
	panic("the test knows no answer to " + r.Method + " " + r.URL.String())
}

func (w *world) put(r *http.Request) *http.Response {
	switch match := header(r, "If-Match"); {
	case match != "" && match != `"0x1"`:
		return refusing(r, 412, "ConditionNotMet")
	case match == "" && !w.fresh:
		return refusing(r, 409, "BlobAlreadyExists")
	}
	return with(respond(r, 201, ""), "ETag", `"0x2"`, "Last-Modified", at, "x-ms-request-server-encrypted", "true")
}

func (w *world) read(r *http.Request) *http.Response {
	switch isHead := strings.Contains(r.URL.Path, "/heads/"); {
	case w.fresh || strings.HasSuffix(r.URL.Path, "gone"):
		return refusing(r, 404, "BlobNotFound")
	case isHead && header(r, "If-None-Match") == `"0x1"`:
		return with(respond(r, 304, ""), "ETag", `"0x1"`, "x-ms-error-code", "ConditionNotMet")
	case isHead:
		of := w.stored
		of.Content = w.record
		return stored(r, of, -1)
	}
	return stored(r, w.stored, -1)
}

const at = "Sat, 28 Nov 2026 01:23:50 GMT"

// list answers with two pages.
func (w *world) list(r *http.Request, delimiter, marker string) *http.Response {
	prefix := r.URL.Query().Get("prefix")
	blob := func(name string) string {
		return "<Blob><Name>" + prefix + name + "</Name><Properties><Last-Modified>" + at + "</Last-Modified><Etag>0x1</Etag><Content-Length>11</Content-Length></Properties></Blob>"
	}
	var items string
	switch {
	case delimiter != "" && marker == "":
		items = "<BlobPrefix><Name>" + prefix + "a/</Name></BlobPrefix>"
	case delimiter != "":
		items = "<BlobPrefix><Name>" + prefix + "b/</Name></BlobPrefix>"
	case strings.HasPrefix(prefix, "heads/") && marker == "":
		items = blob(w.next.AggregateID)
	case strings.HasPrefix(prefix, "heads/"):
		items = blob("gone")
	default:
		items = blob(strings.TrimPrefix(w.stored.ObjectName(), changeset.FolderOf(w.stored.AggregateID)))
	}
	next := ""
	if marker == "" {
		next = "2!page"
	}
	return respond(r, 200, xml.Header+`<EnumerationResults ServiceEndpoint="https://acme.blob.core.windows.net/" ContainerName="c"><Prefix>`+prefix+
		"</Prefix><MaxResults>5000</MaxResults><Blobs>"+items+"</Blobs><NextMarker>"+next+"</NextMarker></EnumerationResults>")
}

func with(reply *http.Response, headers ...string) *http.Response {
	for pair := range slices.Chunk(headers, 2) {
		reply.Header.Set(pair[0], pair[1])
	}
	return reply
}

func refusing(r *http.Request, status int, code string) *http.Response {
	reply := respond(r, status, xml.Header+"<Error><Code>"+code+"</Code><Message>m</Message></Error>")
	reply.Header.Del("x-ms-version")
	return with(reply, "x-ms-error-code", code)
}

// operation is a call of the store, and what it returns.
type operation struct {
	fresh bool
	call  func(context.Context, *azurestore.Store) (any, error)
}

// operations are all calls of the store that send requests.
func (w *world) operations() map[string]operation {
	old := w.next.WithToken(`"0x1"`)
	nothing := func(err error) (any, error) { return nil, err }
	return map[string]operation{
		"put":         {true, func(ctx context.Context, s *azurestore.Store) (any, error) { return nothing(s.Put(ctx, w.stored)) }},
		"put again":   {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return nothing(s.Put(ctx, w.stored)) }},
		"get":         {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Get(ctx, w.stored.Ref) }},
		"get nothing": {true, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Get(ctx, w.stored.Ref) }},
		"stat": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return statHeader(s.Stat(ctx, w.stored.Ref))
		}},
		"stat nothing": {true, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return statHeader(s.Stat(ctx, w.stored.Ref))
		}},
		"load":         {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Load(ctx, w.next.AggregateID) }},
		"load nothing": {true, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Load(ctx, w.next.AggregateID) }},
		"refresh":      {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Refresh(ctx, old) }},
		"create":       {true, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Swap(ctx, head.Head{}, w.next) }},
		"swap":         {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Swap(ctx, old, old.Fence()) }},
		"swap stale": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return s.Swap(ctx, old.WithToken(`"0x0"`), old.Fence())
		}},
		"swap untokened": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return s.Swap(ctx, w.next, w.next.Fence())
		}},
		"list": {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return collected(s.List(ctx, "")) }},
		"objects": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return collected(s.Objects(ctx, w.stored.AggregateID))
		}},
		"aggregates": {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return collected(s.Aggregates(ctx, "")) }},
		"delete": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return nothing(s.Delete(ctx, w.stored.Ref))
		}},
		"provision": {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return nothing(s.Provision(ctx)) }},
	}
}

// statHeader leaves the time out, which nothing depends on.
func statHeader(info changeset.Info, err error) (any, error) { return info.Header, err }

func collected[T any](values func(yield func(T, error) bool)) (any, error) {
	var all []T
	for v, err := range values {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

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
// an element returns what it returns otherwise, or an error.
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

// untold are the headers and elements that the service may leave out.
var untold = []string{"Blob", "BlobPrefix", "SignedIdentifier", "Permission", "X-Ms-Blob-Public-Access"}

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
		if !slices.Contains(untold, key) {
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
			if !slices.Contains(untold, last.name) {
				shorter[fmt.Sprintf("%s at %d", last.name, last.from)] = slices.Concat(body[:last.from], body[decoder.InputOffset():])
			}
		}
	}
}

// The check of the set-up claims nothing that the replies do not say.
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
