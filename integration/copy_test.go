//go:build integration

package integration_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/permits"
)

// route are stores that the permits are copied through, and the command that does it.
type route struct {
	*testing.T
	command
	environment []string
}

func newRoute(t *testing.T) (r route, aws, azure string) {
	one, two := awsSite{newLocalStack(t), "aws"}, azureSite{newAzure(t)}
	r = route{t, buildCommand(t), append(one.environment(t), two.environment(t)...)}
	for _, url := range []string{one.url(), two.url()} {
		r.do("init", "--store", url)
	}
	return r, one.url(), two.url()
}

// do runs the command, which must succeed.
func (r route) do(args ...string) string {
	r.Helper()
	got := r.run(r.T, r.environment, "", args...)
	require.Zero(r, got.exit, "%v: %s", args, got.stderr)
	return got.stdout
}

// setPipeSize is F_SETPIPE_SZ of Linux, which package syscall lacks.
const setPipeSize = 1031

// killed runs a copy, and kills its process when it has reported some aggregates. Nothing reads
// the reports that come after, and the pipe has place for a page of them: the copy waits, and
// cannot have ended by then.
func (r route) killed(src, dst string, after int) {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), r.path, "copy", src, dst, "--parallel", "2", "--json")
	cmd.Env = append([]string{"HOME=" + filepath.Dir(r.path), "PATH=" + os.Getenv("PATH")}, r.environment...)
	cmd.Dir, cmd.Stderr = filepath.Dir(r.path), os.Stderr
	out, in, err := os.Pipe()
	require.NoError(r, err)
	defer out.Close()
	_, _, failed := syscall.Syscall(syscall.SYS_FCNTL, in.Fd(), setPipeSize, 4096)
	require.Zero(r, failed)
	cmd.Stdout = in
	require.NoError(r, cmd.Start())
	require.NoError(r, in.Close())
	lines := bufio.NewScanner(out)
	for range after {
		require.True(r, lines.Scan(), "it has ended before it was killed")
	}
	require.NoError(r, cmd.Process.Kill())
	_ = cmd.Wait()
	require.False(r, cmd.ProcessState.Exited(), "it has ended before it was killed")
}

// digests returns the version and the digest of each head.
func (r route) digests(url string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(r.do("ls", "--json", "--store", url)) {
		var h struct{ Aggregate, Ref, Digest string }
		require.NoError(r, json.Unmarshal([]byte(line), &h))
		all[h.Aggregate] = h.Ref + " " + h.Digest
	}
	return all
}

// TestCopyOfPermits copies the permits from a file to AWS, on to Azure and back to a file. The
// processes are killed five times along the way. At the end all heads have the digests of
// the beginning.
func TestCopyOfPermits(t *testing.T) {
	t.Parallel()
	r, aws, azure := newRoute(t)
	lines, err := permits.Log(600)
	require.NoError(t, err)
	var text strings.Builder
	for _, l := range lines {
		text.Write(l.Text)
	}
	const first, last = "file:first.db", "file:last.db"
	got := r.run(t, append(r.environment, "ROPEWALK_STORE="+first), text.String(), "import", "-")
	require.Zero(t, got.exit, got.stderr)
	want := r.digests(first)
	for _, hop := range []struct {
		src, dst string
		kills    int
	}{{first, aws, 2}, {aws, azure, 2}, {azure, last, 1}} {
		began := time.Now()
		for range hop.kills {
			r.killed(hop.src, hop.dst, len(want)/8+1)
		}
		t.Logf("%s", strings.TrimSpace(r.do("copy", hop.src, hop.dst)))
		t.Logf("with %d kills: %s", hop.kills, time.Since(began).Round(time.Millisecond))
		require.Equal(t, want, r.digests(hop.dst))
	}
	require.Contains(t, r.do("verify", "--all", "--store", last), " 0 corrupt, 0 orphans, 0 pending")
	require.Equal(t, r.do("export", "--store", first), r.do("export", "--store", last))
}

// TestCutOverBetweenClouds moves aggregates from AWS to Azure and back, and forks the history.
func TestCutOverBetweenClouds(t *testing.T) {
	t.Parallel()
	r, aws, azure := newRoute(t)
	for _, id := range []string{"order-1", "order-2", "order-3"} {
		r.do("append", id, "--new", "--allow-empty", "--store", aws)
	}
	src, dst := aws, azure
	for range 3 {
		require.Contains(t, r.do("copy", src, dst, "--cut-over"), "; moved 3 aggregates")
		refused := r.run(t, r.environment, "late", "append", "order-1", "--any", "--store", src)
		require.Equal(t, 4, refused.exit, refused.stderr)
		require.Contains(t, refused.stderr, `"order-1" has moved to `)
		r.do("append", "order-1", "--any", "--allow-empty", "--store", dst)
		r.do("verify", "--all", "--store", src)
		src, dst = dst, src
	}
	r.do("copy", src, "file:fork.db", "--at", "order-1@1")
	require.Len(t, r.digests("file:fork.db"), 1)
	r.do("append", "order-1", "--after", "1", "--allow-empty", "--store", "file:fork.db")
	require.Equal(t, 4, r.run(t, r.environment, "", "copy", src, "file:fork.db").exit)
}
