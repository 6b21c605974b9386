package redact_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/redact"
)

const secret = "s3cr3tV4lue"

func TestURL(t *testing.T) {
	for rawURL, want := range map[string]string{
		"file:ropewalk.db":                                     "file:ropewalk.db",
		"file:///tmp/a@b.db":                                   "file:///tmp/a@b.db",
		"s3://bucket/user@x?region=r":                          "s3://bucket/user@x?region=r",
		"aws://b/p/?table=t&region=r&path-style=true":          "aws://b/p/?table=t&region=r&path-style=true",
		"aws://b/?table=t&endpoint=http://127.0.0.1:4566":      "aws://b/?table=t&endpoint=http://127.0.0.1:4566",
		"azure://acct/?sv=2024&sig=" + secret:                  "azure://acct/?sv=REDACTED&sig=REDACTED",
		"azure://acct/?" + "sig%3D" + secret:                   "azure://acct/?REDACTED",
		"postgres://me:" + secret + "@host/db":                 "postgres://REDACTED@host/db",
		"postgres://me:a/b@" + secret + "@host/db":             "postgres://REDACTED@host/db",
		"s3://" + secret + "@bucket/":                          "s3://REDACTED@bucket/",
		"s3://b/?endpoint=http://u:" + secret + "@h/":          "s3://b/?endpoint=http://REDACTED@h/",
		"s3://b/?endpoint=http%3A%2F%2Fu%3A" + secret + "%40h": "s3://b/?endpoint=http://REDACTED@h",
		"s3://b/#" + secret:                                    "s3://b/#REDACTED",
		"AccountName=a;AccountKey=" + secret + "==;X=y":        "AccountName=a;AccountKey=REDACTED;X=y",
	} {
		require.Equal(t, want, redact.URL(rawURL), rawURL)
		require.Equal(t, want, redact.URL(want), "redacted twice")
	}
}

func TestSecretsInMessages(t *testing.T) {
	for _, message := range []string{
		`Get "https://a.blob.core.windows.net/c?se=2026&sig=%s&sp=r": dial tcp: no such host`,
		`parse "http://me:%s@host:port/": invalid port`,
		"SharedAccessSignature=sv=2024&sig=%s;BlobEndpoint=https://x",
		"AccountKey=%s;EndpointSuffix=core",
		"https://b.s3/k?X-Amz-Credential=AKIA&X-Amz-Signature=%s",
		"X-Amz-Security-Token=%s&x=y", "password=%s", "Authorization: Bearer %s", "SharedKey acct:%s", "client_secret=%s",
	} {
		got := redact.Text(strings.ReplaceAll(message, "%s", secret))
		require.NotContains(t, got, secret)
		require.Contains(t, got, redact.Mark)
	}
	for _, message := range []string{
		`--meta "x": want KEY=VALUE`, "s3://bucket/changesets/user@7/0001-uuid", "order@1: content does not match", "--command-id key=1",
	} {
		require.Equal(t, message, redact.Text(message))
	}
}

func TestSecretsOfARun(t *testing.T) {
	const odd = `p"a s/s&+`
	r := redact.New("s3://b/?unknown="+secret, map[string]string{
		"AWS_SECRET_ACCESS_KEY":           "wJalrXUtnFEMI",
		"AZURE_CLIENT_SECRET":             odd,
		"AZURE_STORAGE_CONNECTION_STRING": "AccountName=x; AccountKey=QUJDREVG==;BlobEndpoint=http://h",
		"AWS_SESSION_TOKEN":               "",
	})
	got := r.Text("it says " + secret + ", wJalrXUtnFEMI, " + odd + `, p\"a s/s&+, p%22a+s%2Fs%26%2B and QUJDREVG==, not b`)
	require.Equal(t, "it says REDACTED, REDACTED, REDACTED, REDACTED, REDACTED and REDACTED, not b", got)
}
