package bodyread

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 70_000} {
		text := strings.Repeat("x", size)
		got, err := Read(iotest.OneByteReader(strings.NewReader(text)), int64(size))
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
}

func TestWhatIsNotAsAnnouncedIsAnError(t *testing.T) {
	for _, size := range []int64{0, 3, 5, 1 << 30, 1 << 50, math.MaxInt64 - 1} {
		got, err := Read(strings.NewReader("four"), size)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, size)
		require.LessOrEqual(t, len(got), 4)
	}
	_, err := Read(strings.NewReader("four"), -1)
	require.Error(t, err)
	down := errors.New("down")
	_, err = Read(io.MultiReader(strings.NewReader("fo"), iotest.ErrReader(down)), 4)
	require.ErrorIs(t, err, down)
}

func TestAnAnnouncementCostsNoMoreThanIsTrusted(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(strings.NewReader("x"), 1<<40)
	require.Error(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*Trusted))
}

// repeated is a body of zeros without an end.
type repeated struct{}

func (repeated) Read(p []byte) (int, error) { return len(p), nil }

func TestReadUnknown(t *testing.T) {
	got, err := ReadUnknown(iotest.OneByteReader(strings.NewReader("four")))
	require.NoError(t, err)
	require.Equal(t, "four", string(got))
	_, err = ReadUnknown(repeated{})
	require.ErrorContains(t, err, "does not say how large")
	down := errors.New("down")
	_, err = ReadUnknown(io.MultiReader(strings.NewReader("fo"), iotest.ErrReader(down)))
	require.ErrorIs(t, err, down)
}
