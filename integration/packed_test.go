//go:build integration

package integration_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// packedReader is a reader of packed chains that shares nothing with the library.
//
//go:embed testdata/packed.py
var packedReader string

// independent is a changeset as the independent reader has proved it.
type independent struct {
	Version uint64
	ID      changeset.ID
	Digest  changeset.Digest
	Content []byte
}

// readIndependently reads a chain by the independent reader.
func readIndependently(t *testing.T, a *awsAccount, table, aggregateID string) ([]independent, error) {
	python := os.Getenv("ROPEWALK_TEST_BOTO3_PYTHON")
	if python == "" {
		t.Fatal("ROPEWALK_TEST_BOTO3_PYTHON is not set: it must name a Python that can import boto3; make test starts LocalStack, which has one, and sets it")
	}
	in, err := json.Marshal(map[string]string{
		"endpoint": *a.base(), "region": "us-east-1", "bucket": a.bucket, "prefix": a.prefix, "table": table, "aggregate": aggregateID,
	})
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), python, "-c", packedReader)
	command.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	var stderr strings.Builder
	command.Stdin, command.Stderr = bytes.NewReader(in), &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	var all []independent
	return all, json.Unmarshal(out, &all)
}

// TestAnIndependentReaderProvesPackedChains: a reader that was written from DESIGN.md
// alone reads what the library has written, and finds a changed byte.
func TestAnIndependentReaderProvesPackedChains(t *testing.T) {
	t.Parallel()
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	a.needsEmulator(t)
	for name, where := range map[string]struct {
		table string
		heads head.Store
		tip   int
	}{
		"heads in DynamoDB":     {a.table, a.heads(t), 0},
		"heads in S3":           {"", a.objects(t), 1500},
		"no tip, heads in S3":   {"", a.objects(t), -1},
		"all in the tip":        {a.table, a.heads(t), 100 << 10},
		"all in the tip, in S3": {"", a.objects(t), 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			id := "order/" + name
			chain := ropewalk.New(a.objects(t), where.heads, &ropewalk.Options{Packed: true, TipSize: where.tip}).Chain(id)
			var want []independent
			var h head.Head
			for i := range 60 {
				contents := [][]byte{fmt.Appendf(nil, `{"type":"paid","note":"%s\n\u0001<&>"}`, strings.Repeat("é\u2028", i)), {0xff, byte(i)}, {}}
				var drafts []ropewalk.Draft
				for _, content := range contents[:1+i%3] {
					drafts = append(drafts, ropewalk.Draft{Content: content, ContentType: "application/json", CommandID: fmt.Sprint("command ", i), Metadata: map[string]string{"tenant": "acme/eu"}})
				}
				var err error
				h, err = chain.Append(t.Context(), h, drafts...)
				require.NoError(t, err)
			}
			for c, err := range chain.ReaderAt(h).All(t.Context()) {
				require.NoError(t, err)
				want = append(want, independent{c.Version, c.ID, c.Digest, c.Content})
			}
			got, err := readIndependently(t, a, where.table, id)
			require.NoError(t, err)
			require.Equal(t, len(want), len(got))
			for i := range want {
				require.Equal(t, want[i].Digest, got[i].Digest, i)
				require.Equal(t, want[i].ID, got[i].ID, i)
				require.Equal(t, string(want[i].Content), string(got[i].Content), i)
			}
		})
	}
}
