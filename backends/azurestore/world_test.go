package azurestore_test

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
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
		of.Body = w.record
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

// operation is a call of the store, and its result.
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
		"get":         {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Get(ctx, w.stored.Ref, nil) }},
		"get nothing": {true, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Get(ctx, w.stored.Ref, nil) }},
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
		"swap":         {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return s.Swap(ctx, old, link.Fence(old)) }},
		"swap stale": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return s.Swap(ctx, old.WithToken(`"0x0"`), link.Fence(old))
		}},
		"swap untokened": {false, func(ctx context.Context, s *azurestore.Store) (any, error) {
			return s.Swap(ctx, w.next, link.Fence(w.next))
		}},
		"list": {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return collected(s.List(ctx, "")) }},
		"tags": {false, func(ctx context.Context, s *azurestore.Store) (any, error) { return collected(s.Tags(ctx, "")) }},
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
