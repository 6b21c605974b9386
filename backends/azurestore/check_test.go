package azurestore_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
)

// account is a service as Check meets it. Its zero value is in order.
type account struct {
	public, immutable, hold string
	ignores                 string // the condition that is not honoured
	fails                   map[string]string
	hierarchical            bool
	etag                    int
	blob                    bool
	left                    int
}

func (a *account) answer(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	what := r.Method + " " + query.Get("restype")
	if code := a.fails[what]; code != "" {
		status := http.StatusForbidden
		if code == "ContainerNotFound" {
			status = http.StatusNotFound
		}
		return failing(status, code)(r)
	}
	consume(r)
	reply := respond(r, http.StatusOK, "")
	switch what {
	case "GET container":
		for name, value := range map[string]string{
			"x-ms-blob-public-access": a.public, "x-ms-has-immutability-policy": cmp.Or(a.immutable, "false"), "x-ms-has-legal-hold": cmp.Or(a.hold, "false"),
		} {
			if value != "" {
				reply.Header.Set(name, value)
			}
		}
	case "GET account":
		reply.Header.Set("x-ms-account-kind", "StorageV2")
		reply.Header.Set("x-ms-sku-name", "Standard_ZRS")
		reply.Header.Set("x-ms-is-hns-enabled", fmt.Sprint(a.hierarchical))
	case "GET service":
		reply = respond(r, 200, `<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled><Days>7</Days></DeleteRetentionPolicy></StorageServiceProperties>`)
	case "GET ":
		reply = respond(r, http.StatusOK, `"ropewalk probe"`)
		reply.Header.Set("ETag", a.tag())
	case "PUT ":
		return a.write(r)
	case "DELETE ":
		a.blob, a.left = false, 0
		reply.StatusCode = http.StatusAccepted
	}
	return reply, nil
}

func (a *account) write(r *http.Request) (*http.Response, error) {
	if header(r, "If-None-Match") != "" && a.blob && a.ignores != "If-None-Match" {
		return failing(http.StatusConflict, "BlobAlreadyExists")(r)
	}
	if match := header(r, "If-Match"); match != "" && match != a.tag() && a.ignores != "If-Match" {
		return failing(http.StatusPreconditionFailed, "ConditionNotMet")(r)
	}
	a.blob, a.left = true, 1
	a.etag++
	reply := respond(r, http.StatusCreated, "")
	reply.Header.Set("ETag", a.tag())
	return reply, nil
}

func (a *account) tag() string { return fmt.Sprintf(`"0x%d"`, a.etag) }

// check returns the findings as text. Findings that are not OK get an exclamation mark.
func (a *account) check(t *testing.T) ([]string, error) {
	t.Helper()
	var log bytes.Buffer
	s, wire := cannedStore(t, &log, a.answer)
	findings, err := s.Check(t.Context())
	var texts []string
	for _, f := range findings {
		text := f.String()
		if !f.OK {
			require.NotEmpty(t, f.Hint, text)
			text = "! " + text
		}
		texts = append(texts, text)
	}
	require.NotContains(t, strings.Join(texts, "\n")+log.String(), secret)
	require.Zero(t, a.left, "probes are left behind")
	for _, r := range wire.sent {
		require.False(t, strings.Contains(r.URL.Path, "/aggregates/"), "no role may delete in the container of the heads: %s", r.URL.Path)
	}
	return texts, err
}

func TestCheckOfGoodAccount(t *testing.T) {
	got, err := (&account{}).check(t)
	require.NoError(t, err)
	require.Equal(t, []string{
		"endpoint https://acme.blob.core.windows.net/",
		"container changesets exists",
		"container changesets not public",
		"container changesets honours conditional writes",
		"container aggregates exists",
		"container aggregates not public",
		"container aggregates not immutable",
		"account StorageV2 Standard_ZRS",
		"account keeps deleted blobs and replaced heads for 7 days: erased history lasts as long",
	}, got)
}

func TestCheckNamesWhatIsMissingOrDangerous(t *testing.T) {
	for want, a := range map[string]*account{
		`! container aggregates: anybody may read it: its public access level is "blob"`:          {public: "blob"},
		"! container aggregates: has an immutability policy, so that heads cannot be replaced":    {immutable: "true"},
		"! container aggregates: has a legal hold, so that heads cannot be replaced":              {hold: "true"},
		"! container changesets: create-only writes are not honoured":                             {ignores: "If-None-Match"},
		"! container changesets: If-Match writes are not honoured":                                {ignores: "If-Match"},
		"! container changesets: missing":                                                         {fails: map[string]string{"GET container": "ContainerNotFound"}},
		"account has a hierarchical namespace: folders stay, and are listed, when they are empty": {hierarchical: true},
		"account keeps deleted blobs and replaced heads for 7 days: erased history lasts as long": {fails: map[string]string{"GET account": "AuthorizationPermissionMismatch"}},
		"account StorageV2 Standard_ZRS":                                                          {fails: map[string]string{"GET service": "AuthorizationPermissionMismatch"}},
		"! container changesets: conditional writes could not be tried: access is denied: probe https://acme.blob.core.windows.net/changesets/…: the service answers 403 AuthorizationPermissionMismatch": {
			fails: map[string]string{"PUT ": "AuthorizationPermissionMismatch"},
		},
	} {
		got, err := a.check(t)
		require.NoError(t, err)
		for i := range got {
			if before, after, found := strings.Cut(got[i], "ropewalk-probe/"); found {
				got[i] = before + "…" + after[36:]
			}
		}
		require.Contains(t, got, want)
	}
}

func TestCheckOfForbiddenAccount(t *testing.T) {
	_, err := (&account{fails: map[string]string{"GET container": "AuthenticationFailed"}}).check(t)
	var broken *azurestore.SetupError
	require.ErrorAs(t, err, &broken)
	require.NotEmpty(t, broken.Hint)
}

func TestCheckRefusesTheSecondaryEndpoint(t *testing.T) {
	s, err := azurestore.New("https://acme-secondary.blob.core.windows.net/?sig="+secret, nil, &azurestore.Options{
		Client: cannedClient(&canned{answer: (&account{}).answer}),
	})
	require.NoError(t, err)
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.False(t, findings[0].OK)
	require.Equal(t, "endpoint: acme-secondary.blob.core.windows.net is the secondary one, which lags behind", findings[0].String())
}
