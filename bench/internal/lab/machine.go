// Package lab is what the experiments work with: servers of their own, an HTTP
// client that adds latency and counts, trips counted in virtual time, and
// variants that take turns.
package lab

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"ropewalk/bench/internal/report"
)

// ThisMachine describes the machine, as far as it can be found out.
func ThisMachine(folder string) report.Machine {
	return report.Machine{
		CPU:   cpuModel(),
		Cores: runtime.NumCPU(),
		OS:    strings.TrimSpace(runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease")),
		Go:    runtime.Version(),
		Disk:  disk(folder),
	}
}

// ProcessorTime returns how much time of processors this process has used.
func ProcessorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func cpuModel() string {
	for line := range strings.Lines(string(read("/proc/cpuinfo"))) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// disk returns the type of the file system that holds a folder.
func disk(folder string) string {
	best, kind := "", ""
	for line := range strings.Lines(string(read("/proc/mounts"))) {
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.HasPrefix(folder+"/", strings.TrimSuffix(fields[1], "/")+"/") && len(fields[1]) >= len(best) {
			best, kind = fields[1], fields[2]
		}
	}
	return kind
}

// Load returns how many processes wanted to run in the last minute.
func Load() string {
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return load
}

func firstLine(path string) string {
	line, _, _ := bytes.Cut(read(path), []byte("\n"))
	return string(line)
}

// read returns a file, nothing where it cannot be read.
func read(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

// Versions returns the versions of modules that this program was built with.
func Versions(modules ...string) (versions []string) {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return nil
	}
	for _, module := range modules {
		for _, d := range info.Deps {
			if d.Path == module {
				versions = append(versions, fmt.Sprintf("%s %s", module, d.Version))
			}
		}
	}
	return versions
}
