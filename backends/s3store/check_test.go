package s3store_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
)

// bucket is a server that answers as a bucket in good order does, except for the
// replies that a test puts in their place, by method and subresource.
type bucket map[string]reply

var goodBucket = bucket{
	"LIST":                   {status: 200, body: "<ListBucketResult/>"},
	"PUT If-None-Match":      {status: 200},
	"PUT If-None-Match 2":    {status: 412, code: "PreconditionFailed"},
	"GET":                    {status: 200, body: "1"},
	"PUT If-Match":           {status: 200},
	"PUT If-Match 2":         {status: 412, code: "PreconditionFailed"},
	"DELETE":                 {status: 204},
	"GET ?lifecycle":         {status: 404, code: "NoSuchLifecycleConfiguration"},
	"GET ?publicAccessBlock": {status: 200, body: publicAccess(true)},
	"GET ?versioning":        {status: 200, body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"},
}

const encryption = "<ServerSideEncryptionConfiguration><Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"

func publicAccess(blocked bool) string {
	body := "<PublicAccessBlockConfiguration>"
	for i, name := range []string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
		value := "true"
		if i == 3 && !blocked {
			value = "false"
		}
		body += "<" + name + ">" + value + "</" + name + ">"
	}
	return body + "</PublicAccessBlockConfiguration>"
}

// check returns what Check finds in a good bucket that has other replies.
func check(t *testing.T, others bucket) map[string]s3store.Finding {
	t.Helper()
	return checkWith(t, others, &s3store.Options{Prefix: "p/"})
}

func checkWith(t *testing.T, others bucket, o *s3store.Options) map[string]s3store.Finding {
	t.Helper()
	writes := map[string]int{}
	server := &canned{reply: func(_ int, r *http.Request) reply {
		request := requestOf(r)
		if writes[request]++; r.Method == http.MethodPut && writes[request] > 1 {
			request += fmt.Sprint(" ", writes[request])
		}
		if other, ok := others[request]; ok {
			return other
		}
		good, ok := goodBucket[request]
		require.True(t, ok, "unexpected request: %s", request)
		return good
	}}
	findings, err := openWith(t, "eu-west-1", server, o).Check(t.Context())
	require.NoError(t, err)
	byName := map[string]s3store.Finding{}
	for _, f := range findings {
		require.NotContains(t, byName, f.Name)
		byName[f.Name] = f
	}
	return byName
}

func requestOf(r *http.Request) string {
	if r.URL.Query().Has("list-type") {
		return "LIST"
	}
	request := r.Method
	for _, condition := range []string{"If-None-Match", "If-Match"} {
		if r.Header.Get(condition) != "" {
			request += " " + condition
		}
	}
	if r.URL.Path == "/" && r.URL.RawQuery == "" {
		request += " /"
	}
	for _, name := range []string{"lifecycle", "publicAccessBlock", "versioning", "encryption"} {
		if _, ok := r.URL.Query()[name]; ok {
			request += " ?" + name
		}
	}
	return request
}

func TestCheckOfAGoodBucket(t *testing.T) {
	var lines []string
	for _, f := range check(t, nil) {
		require.True(t, f.OK, f)
		require.Empty(t, f.Hint)
		lines = append(lines, f.String())
	}
	require.ElementsMatch(t, []string{"bucket bucket ok", "conditional writes ok", "no expiry rule", "public access blocked", "versioning on"}, lines)
}

func TestCheckFinds(t *testing.T) {
	ok := reply{status: 200}
	denied := reply{status: 403, code: "AccessDenied"}
	tests := map[string]struct {
		others       bucket
		name, detail string
	}{
		"no bucket":                {bucket{"LIST": {status: 404, code: "NoSuchBucket"}}, "bucket bucket", "does not exist"},
		"denied bucket":            {bucket{"LIST": denied}, "bucket bucket", "denies access"},
		"bucket elsewhere":         {bucket{"LIST": {status: 301, code: "PermanentRedirect"}}, "bucket bucket", "not in region"},
		"create-only ignored":      {bucket{"PUT If-None-Match 2": ok}, "conditional writes", "If-None-Match is not honoured"},
		"If-Match ignored":         {bucket{"PUT If-Match 2": ok}, "conditional writes", "If-Match is not honoured"},
		"conditions not offered":   {bucket{"PUT If-None-Match": {status: 501, code: "NotImplemented"}}, "conditional writes", "does not offer conditional writes"},
		"If-Match not offered":     {bucket{"PUT If-Match": {status: 501, code: "NotImplemented"}}, "conditional writes", "does not offer conditional writes"},
		"ETag stripped from reads": {bucket{"GET": {status: 200, header: map[string]string{"ETag": ""}}}, "conditional writes", "no ETag"},
		"ETag stripped from all":   {bucket{"PUT If-None-Match": {status: 200, header: map[string]string{"ETag": ""}}}, "conditional writes", "no ETag"},
		"ETag changed":             {bucket{"PUT If-Match": {status: 412, code: "PreconditionFailed"}}, "conditional writes", `S3 does not know the ETag that it returned, "canned"`},
		"login page":               {bucket{"LIST": {status: 200, header: bare(nil)}}, "bucket bucket", "not from S3"},
		"no rules":                 {bucket{"GET ?lifecycle": ok}, "no expiry rule", "not from S3"},
		"no configuration":         {bucket{"GET ?publicAccessBlock": ok}, "public access", "not from S3"},
		"denied writes":            {bucket{"PUT If-None-Match": denied}, "conditional writes", "denies access"},
		"denied lifecycle":         {bucket{"GET ?lifecycle": denied}, "no expiry rule", "not known"},
		"public access":            {bucket{"GET ?publicAccessBlock": {status: 200, body: publicAccess(false)}}, "public access", "not blocked in all"},
		"public access by default": {bucket{"GET ?publicAccessBlock": {status: 404, code: "NoSuchPublicAccessBlockConfiguration"}}, "public access", "not blocked"},
		"denied versioning":        {bucket{"GET ?versioning": denied}, "versioning", "not known"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := check(t, test.others)[test.name]
			require.False(t, f.OK)
			require.Contains(t, f.Detail, test.detail)
		})
	}
}

// TestVersioningIsDemanded only by the options, and only of a server that offers it.
func TestVersioningIsDemanded(t *testing.T) {
	off := bucket{"GET ?versioning": {status: 200, body: "<VersioningConfiguration/>"}}
	demanded := &s3store.Options{Prefix: "p/", Versioning: true}
	require.True(t, check(t, off)["versioning"].OK)
	require.True(t, checkWith(t, nil, demanded)["versioning"].OK)
	require.True(t, checkWith(t, bucket{"GET ?versioning": {status: 501, code: "NotImplemented"}}, demanded)["versioning"].OK)
	f := checkWith(t, off, demanded)["versioning"]
	require.False(t, f.OK)
	require.Contains(t, f.Hint, "ropewalk init")
}

func TestCheckAcceptsWhatIsNotOffered(t *testing.T) {
	no := reply{status: 501, code: "NotImplemented"}
	findings := check(t, bucket{"GET ?lifecycle": no, "GET ?publicAccessBlock": no, "GET ?versioning": no})
	for _, name := range []string{"no expiry rule", "public access", "versioning"} {
		require.True(t, findings[name].OK, name)
		require.Equal(t, "(not offered by this server)", findings[name].Detail)
	}
}

func TestCheckReadsLifecycleRules(t *testing.T) {
	const expires, archives = "<Expiration><Days>30</Days></Expiration>", "<Transition><Days>30</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"
	tests := map[string]struct {
		rule   string
		detail string
	}{
		"everything":           {"<Filter><Prefix></Prefix></Filter>" + expires, "deletes"},
		"no filter":            {expires, "deletes"},
		"the prefix":           {"<Filter><Prefix>p/</Prefix></Filter>" + expires, "deletes"},
		"an old prefix":        {"<Prefix>p/</Prefix>" + expires, "deletes"},
		"one aggregate":        {"<Filter><Prefix>p/changesets/order-1</Prefix></Filter>" + expires, "deletes"},
		"heads":                {"<Filter><Prefix>p/hea</Prefix></Filter>" + expires, "deletes"},
		"by size":              {"<Filter><And><Prefix>p/</Prefix><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></And></Filter>" + expires, "deletes"},
		"at a date":            {"<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>", "deletes"},
		"an archive":           {archives, "DEEP_ARCHIVE"},
		"another prefix":       {"<Filter><Prefix>q/</Prefix></Filter>" + expires, ""},
		"beside the folders":   {"<Filter><Prefix>p/logs/</Prefix></Filter>" + expires, ""},
		"by tag":               {"<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>" + expires, ""},
		"by prefix and tag":    {"<Filter><And><Prefix>p/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>" + expires, ""},
		"delete markers":       {"<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>", ""},
		"old versions":         {"<NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration>", ""},
		"a tier that is read":  {strings.Replace(archives, "DEEP_ARCHIVE", "GLACIER_IR", 1), ""},
		"a rule switched off ": {"<Status>Disabled</Status>" + expires, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rule := test.rule
			if !strings.Contains(rule, "<Status>") {
				rule += "<Status>Enabled</Status>"
			}
			f := check(t, bucket{"GET ?lifecycle": {status: 200, body: "<LifecycleConfiguration><Rule><ID>r</ID>" + rule + "</Rule></LifecycleConfiguration>"}})["no expiry rule"]
			require.Equal(t, test.detail == "", f.OK, f)
			require.Contains(t, f.Detail, test.detail)
		})
	}
}

func TestProvisionBucket(t *testing.T) {
	const create, encrypt = "PUT /", "PUT ?encryption"
	no := reply{status: 501, code: "NotImplemented"}
	tests := map[string]struct {
		replies bucket
		created string
		err     string
	}{
		"new":                  {bucket{"LIST": {status: 404, code: "NoSuchBucket"}}, "<LocationConstraint>eu-west-1<", ""},
		"there":                {bucket{}, "", ""},
		"created by another":   {bucket{"LIST": {status: 404, code: "NoSuchBucket"}, create: {status: 409, code: "BucketAlreadyOwnedByYou"}}, "eu-west-1", ""},
		"taken":                {bucket{"LIST": {status: 404, code: "NoSuchBucket"}, create: {status: 409, code: "BucketAlreadyExists"}}, "eu-west-1", "taken by another account"},
		"settings not offered": {bucket{"PUT ?publicAccessBlock": no, "GET ?encryption": no}, "", ""},
		"settings denied":      {bucket{"PUT ?publicAccessBlock": {status: 403, code: "AccessDenied"}}, "", "denies access"},
		"no encryption":        {bucket{"GET ?encryption": {status: 404, code: "ServerSideEncryptionConfigurationNotFoundError"}, encrypt: {status: 403, code: "AccessDenied"}}, "", "denies access"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			created := ""
			server := &canned{}
			server.reply = func(n int, r *http.Request) reply {
				if requestOf(r) == create {
					created = server.bodies[n-1]
				}
				if other, ok := test.replies[requestOf(r)]; ok {
					return other
				}
				if requestOf(r) == "LIST" {
					return goodBucket["LIST"]
				}
				return reply{status: 200, body: encryption}
			}
			err := open(t, server).Provision(t.Context())
			require.Contains(t, created, test.created)
			require.Equal(t, test.created == "", created == "")
			if test.err == "" {
				require.NoError(t, err)
			} else {
				requireSetup(t, err, test.err)
			}
		})
	}
}
