package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
)

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"", "@", "order-4711", "order@7", "order@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10", "order@7.…7f2e10", "order@2..5", "order@5..2", "order@5..",
		"order@{2026-01-31}", "order@{2026-01-31T09:30:00Z}", "order@{2026-02-30}", "a@b@7@", "user@7@", "order@18446744073709551616", "order@07", "../..@1",
		"%2F@0", "\x00@1", "é@{0000-01-01}", "a@{9999-12-31}", "$x@1", "a@1.…", "a@..", "a@1...2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseReference(s)
		if err != nil {
			require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit, "%q: %v", s, err)
			return
		}
		require.NoError(t, changeset.ValidateAggregateID(r.id))
		require.True(t, r.form != between || r.first <= r.last, "%q: %+v", s, r)
		again, err := parseReference(idArgument(r.id))
		require.NoError(t, err)
		require.Equal(t, reference{id: r.id}, again, "%q", s)
		if id, err := parseID(s); err == nil {
			require.Equal(t, r.id, id)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{
		"", "file:", "file:a.db", "file:a.db?mode=ro", "file:///tmp/a.db", "mem:", "mem:x", "a.db", "s3://b/p?region=r", "s3://b?region=r&endpoint=http://127.0.0.1:1&path-style=true",
		"aws://b/p/?table=t&region=r", "aws://b?table=t&table=u", "aws://u:p@b/?table=t", "azure://a/p?changesets=c&heads=h", "azure:///?changesets=c", "s3://b:80/", "s3:b", "http://x",
		"s3://b/%zz", "s3://b?region=%zz", "aws://b/?table=&region=r", "s3://[::1]/x", "azure://a#f", "s3://b/../..?region=r", "file:%00",
	} {
		f.Add(s, "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, rawURL, connection string) {
		p, err := parsePlace(rawURL, map[string]string{"AZURE_STORAGE_CONNECTION_STRING": connection})
		if err == nil {
			require.NotNil(t, p)
			return
		}
		require.True(t, cliexit.IsOwn(err), "%q: %v", rawURL, err)
		require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit, "%q: %v", rawURL, err)
	})
}
