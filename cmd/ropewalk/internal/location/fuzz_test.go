package location

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "file:", "file:a.db", "file:a.db?mode=ro", "file:a.db?format=packed", "s3://b?tip=1&format=packed&region=r", "file:///tmp/a.db", "mem:", "mem:x", "a.db", "s3://b/p?region=r", "s3://b?region=r&endpoint=http://127.0.0.1:1&path-style=true",
		"aws://b/p/?table=t&region=r", "aws://b?table=t&table=u", "aws://u:p@b/?table=t", "azure://a/p?changesets=c&heads=h", "azure:///?changesets=c", "s3://b:80/", "s3:b", "http://x",
		"s3://b/%zz", "s3://b?region=%zz", "aws://b/?table=&region=r", "s3://[::1]/x", "azure://a#f", "s3://b/../..?region=r", "file:%00",
	} {
		f.Add(s, "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, rawURL, connection string) {
		p, err := Parse(rawURL, map[string]string{"AZURE_STORAGE_CONNECTION_STRING": connection})
		if err == nil {
			require.NotNil(t, p)
			return
		}
		require.True(t, cliexit.IsOwn(err), "%q: %v", rawURL, err)
		require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit, "%q: %v", rawURL, err)
	})
}
