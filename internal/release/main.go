// Command release builds what a release of the command consists of: for each platform an
// archive with the program, the man pages, the licence and the read-me, and a list of the
// modules in it (SBOM, CycloneDX); and the SHA-256 of each file. The same commit and the
// same toolchain give the same bytes, in any folder and on any machine.
//
//	go run ./internal/release -version v1.2.0 -out dist
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	var r release
	platforms := flag.String("platforms", "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64", "build for these `platforms`")
	flag.StringVar(&r.version, "version", "", "the `version`, such as v1.2.0")
	flag.StringVar(&r.out, "out", "dist", "write to this `folder`")
	flag.Parse()
	if err := r.make(strings.Fields(*platforms)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release is one release of the command.
type release struct {
	version, out string
	time         time.Time // of each file in an archive
}

func (r release) make(platforms []string) (err error) {
	if !strings.HasPrefix(r.version, "v") {
		return fmt.Errorf("the version %q does not begin with v: make release VERSION=v1.2.0", r.version)
	}
	if r.time, err = committed(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "ropewalk-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	man := filepath.Join(work, "man")
	if err := os.Mkdir(man, 0o755); err != nil {
		return err
	}
	if err := run(nil, "go", "test", "./cmd/ropewalk", "-count=1", "-run", "^TestManPages$", "-man", man); err != nil {
		return err
	}
	for _, platform := range platforms {
		if err := r.platform(platform, work, man); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	return r.sums()
}

// platform builds the archive and the list of modules of a platform.
func (r release) platform(platform, work, man string) error {
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("a platform is SYSTEM/ARCHITECTURE, such as linux/amd64")
	}
	name := fmt.Sprintf("ropewalk_%s_%s_%s", r.version, system, arch)
	program := filepath.Join(work, name, "ropewalk")
	if system == "windows" {
		program += ".exe"
	}
	env := []string{"GOOS=" + system, "GOARCH=" + arch, "CGO_ENABLED=0", "GOFLAGS="}
	if err := run(env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.released="+r.version, "-o", program, "./cmd/ropewalk"); err != nil {
		return err
	}
	bom, err := modules(program, r.version)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, name+".cdx.json"), bom, 0o644); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil {
		return err
	}
	files := []file{{"README.md", "README.md", 0o644}, {"LICENSE", "LICENSE", 0o644}, {filepath.Base(program), program, 0o755}}
	for _, page := range pages {
		files = append(files, file{"man/" + filepath.Base(page), page, 0o644})
	}
	return r.archive(name, system == "windows", files)
}

// sums writes the SHA-256 of each file, as sha256sum --check reads them.
func (r release) sums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "ropewalk_"+r.version+"_") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), e.Name()))
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}

// committed returns the time of the commit that is released, or of SOURCE_DATE_EPOCH.
func committed() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("the time of the commit is unknown: %w: run it in a checkout, or set SOURCE_DATE_EPOCH", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC(), err
}

func run(env []string, command string, args ...string) error {
	c := exec.Command(command, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", command, strings.Join(args, " "), err, out)
	}
	return nil
}
