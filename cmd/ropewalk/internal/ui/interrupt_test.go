package ui

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A stdout that is read slowly gets everything, also the last line of a
// command that is interrupted.
func TestInterruptWhileStandardOutputIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		read := make(chan string, 1)
		go func() {
			var got []byte
			for buffer := make([]byte, 64<<10); ; {
				time.Sleep(lastWrite / 2)
				n, err := r.Read(buffer)
				if got = append(got, buffer[:n]...); err != nil {
					read <- string(got)
					return
				}
			}
		}()
		out := newInterruptibleWriter(ctx, w)
		_, err := out.Write([]byte("first\n"))
		require.NoError(t, err)
		cancel()
		n, err := out.Write([]byte("last\n"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		require.NoError(t, w.Close())
		require.Equal(t, "first\nlast\n", <-read)
	})
}

// Input is left alone once the context has ended: input that is ready must not
// win by chance.
func TestInputIsNotReadOnceInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ready := strings.NewReader("ready")
		_, err := newInterruptible(ctx, ready).Read(make([]byte, 5))
		require.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		require.Equal(t, 5, ready.Len())
		file := filepath.Join(t.TempDir(), "input")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		_, err = openFile(ctx, file)
		require.ErrorIs(t, err, context.Canceled)
	})
}
