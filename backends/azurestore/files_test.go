package azurestore_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/azurestore"
)

// cannedFiles returns files on a service with that answer.
func cannedFiles(t testing.TB, answer func(r *http.Request) (*http.Response, error)) (*azurestore.Files, *canned) {
	t.Helper()
	wire := &canned{answer: answer}
	f, err := azurestore.NewFiles(cannedURL, nil, &azurestore.Options{ChangesetsContainer: "archive", Prefix: "p/", Client: cannedClient(wire)})
	require.NoError(t, err)
	return f, wire
}

func TestNewFilesRefusesBadSettings(t *testing.T) {
	_, err := azurestore.NewFiles("", nil, nil)
	require.Error(t, err)
	_, err = azurestore.NewFilesFromConnectionString("AccountName=acme", nil)
	require.Error(t, err)
}

func TestCreateFileIsOneConditionalRequest(t *testing.T) {
	f, wire := cannedFiles(t, succeeding(http.StatusCreated))
	require.NoError(t, f.Create(t.Context(), "day=1/type=a%2Fb/1.parquet", []byte("hello")))
	r := wire.sent[0]
	require.Equal(t, []string{http.MethodPut}, wire.take())
	require.Equal(t, "/archive/p/day=1/type=a%2Fb/1.parquet", r.URL.Path)
	require.Equal(t, "*", header(r, "If-None-Match"))
	require.NotEmpty(t, header(r, "x-ms-content-crc64"))
	require.EqualValues(t, 5, r.ContentLength)
	require.Equal(t, "https://acme.blob.core.windows.net/archive/p/a%252Fb", f.Locate("a%2Fb"))
}

// Only the service's own refusal says that the file exists, and only its own
// acknowledgement that it is stored.
func TestRepliesToCreateFile(t *testing.T) {
	for _, code := range []string{"BlobAlreadyExists", "UnauthorizedBlobOverwrite", "ConditionNotMet"} {
		f, _ := cannedFiles(t, failing(http.StatusConflict, code))
		require.ErrorIs(t, f.Create(t.Context(), "a", []byte("hello")), fs.ErrExist, code)
	}
	unmarked := func(r *http.Request) (*http.Response, error) {
		reply, err := succeeding(http.StatusCreated)(r)
		reply.Header = http.Header{"Etag": {`"0x1"`}}
		return reply, err
	}
	untagged := func(r *http.Request) (*http.Response, error) {
		consume(r)
		return respond(r, http.StatusCreated, ""), nil
	}
	for name, answer := range map[string]func(r *http.Request) (*http.Response, error){
		"no marks": unmarked, "no ETag": untagged, "a foreign 409": failing(http.StatusConflict, ""), "a foreign 412": failing(http.StatusPreconditionFailed, ""),
		"busy": failing(http.StatusServiceUnavailable, "ServerBusy"), "no container": failing(http.StatusNotFound, "ContainerNotFound"),
		"denied": failing(http.StatusForbidden, "AuthorizationPermissionMismatch"), "not offered": failing(http.StatusNotImplemented, "NotImplemented"),
	} {
		f, _ := cannedFiles(t, answer)
		err := f.Create(t.Context(), "a", []byte("hello"))
		require.Error(t, err, name)
		require.NotErrorIs(t, err, fs.ErrExist, name)
		requireDiscreet(t, &bytes.Buffer{}, err)
	}
}

func TestReadFile(t *testing.T) {
	reads := 0
	answer := func(r *http.Request) (*http.Response, error) {
		if reads++; reads%2 == 1 { // each body breaks off once
			reply := respond(r, http.StatusOK, "hel")
			reply.ContentLength = 5
			reply.Header.Set("Content-Length", "5")
			return reply, nil
		}
		reply := respond(r, http.StatusOK, "hello")
		reply.Header.Set("Content-Length", "5")
		return reply, nil
	}
	f, _ := cannedFiles(t, answer)
	for limit, want := range map[int64]string{5: "hello", 100: "hello"} {
		got, err := f.Read(t.Context(), "a", limit)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	got, err := f.Read(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, "he", string(got), "no more is read")
}

// Only the service's own answer says that no file has the name.
func TestRepliesToReadFile(t *testing.T) {
	f, _ := cannedFiles(t, failing(http.StatusNotFound, "BlobNotFound"))
	_, err := f.Read(t.Context(), "a", 100)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for name, answer := range map[string]func(r *http.Request) (*http.Response, error){
		"a foreign 404": failing(http.StatusNotFound, ""), "no container": failing(http.StatusNotFound, "ContainerNotFound"),
		"denied": failing(http.StatusForbidden, "AuthorizationPermissionMismatch"), "busy": failing(http.StatusServiceUnavailable, "ServerBusy"),
		"no size": func(r *http.Request) (*http.Response, error) { return respond(r, http.StatusOK, "hello"), nil },
	} {
		f, _ := cannedFiles(t, answer)
		_, err := f.Read(t.Context(), "a", 100)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, fs.ErrNotExist, name)
	}
}

func TestListAndDeleteFiles(t *testing.T) {
	page := "<EnumerationResults><Blobs><Blob><Name>p/day=1/a%2Fb</Name></Blob></Blobs><NextMarker/></EnumerationResults>"
	f, wire := cannedFiles(t, func(r *http.Request) (*http.Response, error) { return respond(r, http.StatusOK, page), nil })
	names, err := ropewalk.Collect(f.List(t.Context(), "day="))
	require.NoError(t, err)
	require.Equal(t, []string{"day=1/a%2Fb"}, names)
	require.Equal(t, "p/day=", wire.sent[0].URL.Query().Get("prefix"))
	_, err = ropewalk.Collect(f.List(t.Context(), "other/"))
	require.Error(t, err, "an item outside of the folder")
	f, _ = cannedFiles(t, func(r *http.Request) (*http.Response, error) { return respond(r, http.StatusOK, "<html/>"), nil })
	_, err = ropewalk.Collect(f.List(t.Context(), ""))
	require.Error(t, err, "no listing is not an empty listing")

	for _, answer := range []func(r *http.Request) (*http.Response, error){succeeding(http.StatusAccepted), failing(http.StatusNotFound, "BlobNotFound")} {
		f, _ := cannedFiles(t, answer)
		require.NoError(t, f.Delete(t.Context(), "a"))
	}
	f, _ = cannedFiles(t, failing(http.StatusNotFound, "ContainerNotFound"))
	require.Error(t, f.Delete(t.Context(), "a"))
}
