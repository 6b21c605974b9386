package importer

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
)

// readLines reads all lines, until the end or a failure.
func readLines(t *testing.T, r io.Reader) (all [][]byte, numbers []int64) {
	l := NewLines("fuzz", r)
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return all, numbers
		}
		require.NoError(t, err)
		all, numbers = append(all, bytes.Clone(line.text)), append(numbers, line.number)
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"", "\n", "\r\n", `{"aggregate":"a"}`, `{"aggregate":"a"}` + "\n\n \t\n" + `{"aggregate":"b"}` + "\r\n", "{", "null", "[]", "1", `{"aggregate":1}`, `{"aggregate":null}`,
		`{"aggregate":"\u0000"}`, `{"aggregate":"a","aggregate":"b"}`, "\xff", `{"other":"a"}`, `{"aggregate":"` + "é" + `"}`, "{\"aggregate\":\"a\"}\x00\n",
		`{"aggregate":{"aggregate":"a"}}`, `{"aggregate":"\ud800"}`, "\ufeff{}",
	} {
		f.Add([]byte(s), "aggregate")
	}
	f.Add(bytes.Repeat([]byte("x"), 300<<10), "")
	f.Fuzz(func(t *testing.T, input []byte, field string) {
		var want [][]byte
		var numbers []int64
		number := int64(0)
		for line := range bytes.Lines(input) {
			number++
			if !ndjson.IsBlank(line) {
				want = append(want, append(bytes.TrimSuffix(bytes.Clone(line), []byte("\n")), '\n'))
				numbers = append(numbers, number)
			}
		}
		marked := append(bytes.Clone(ndjson.ByteOrderMark), input...)
		for _, r := range []io.Reader{bytes.NewReader(marked), iotest.HalfReader(bytes.NewReader(marked)), iotest.DataErrReader(bytes.NewReader(marked))} {
			got, at := readLines(t, r)
			require.Equal(t, want, got)
			require.Equal(t, numbers, at)
		}
		for _, line := range want {
			if id, err := ndjson.AggregateOf(line, field); err == nil {
				require.NoError(t, changeset.ValidateAggregateID(id))
			}
		}
	})
}
