#!/usr/bin/env bash
# Runs all tests: first deploy/ against the clouds' schemas, then the tests that need nothing, in full, and again with
# the race detector, which makes them many times slower, so that they draw fewer seeds there (-short); at last the
# tests against the emulators, which it starts and stops by itself; they are its own, whatever else runs on this
# machine.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
timeout=40m
child=
export GORACE=atexit_sleep_ms=10 # every program would sleep for a second at its end

# The race detector would take more than half of its time in two libraries, and does not watch what they do: SQLite,
# translated to Go, and Zstandard. The driver of SQLite, which copies our bytes for it, is watched. A race of our code
# with Zstandard alone goes unnoticed.
race=(-race)
for library in modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory/... github.com/klauspost/compress/...; do
  race+=("-gcflags=$library=-race=false")
done

main() {
  mkdir -p .cache
  ROPEWALK_EMULATORS_RUN=$(mktemp -d "$PWD/.cache/test.XXXXXX")
  export ROPEWALK_EMULATORS_RUN
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  run integration/emulators.sh install # first, so that a missing tool shows up before minutes of tests
  run integration/deploy.sh
  run go test -timeout "$timeout" ./...
  run go test "${race[@]}" -short -timeout "$timeout" ./...
  run env -C bench go vet ./... # a module of its own
  run env -C bench go test -timeout "$timeout" ./...
  run integration/publish.sh go test "${race[@]}" -short -timeout "$timeout" ./...
  run integration/emulators.sh start
  run_integration
}

run_integration() {
  local variables
  variables=$(integration/emulators.sh env)
  eval "$variables"
  # -count=1: what a server did is never taken from the cache of test results.
  # -parallel: the tests mostly wait, each for an emulator of its own.
  run go test "${race[@]}" -count=1 -parallel 8 -timeout "$timeout" -tags integration ./integration/...
}

# run COMMAND...: in a process group of its own, because a shell that waits for a command in the foreground
# handles a signal only when that has ended, and "go test" leaves the tests running when it is killed.
run() {
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  wait "$child"
  child=
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  if [[ -n $child ]]; then
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" || true
  fi
  integration/emulators.sh stop || status=1
  if ((status == 0)); then
    rm -rf "$ROPEWALK_EMULATORS_RUN"
  else
    rmdir "$ROPEWALK_EMULATORS_RUN" 2>/dev/null || echo "the emulators' logs: $ROPEWALK_EMULATORS_RUN" >&2
  fi
  exit "$status"
}

main
