#!/usr/bin/env bash
# Compares another commit with this checkout, for chains of format 1: requests, allocations and times of appends, reads
# and verification, in turns on this machine. The commit must have the packages that internal/before uses.
#
#   bench/before.sh COMMIT
set -euo pipefail

commit=${1:?usage: bench/before.sh COMMIT}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'git -C "$here" worktree remove --force "$work/other" 2>/dev/null || true; rm -rf "$work"' EXIT

git -C "$here" worktree add --quiet --detach "$work/other" "$commit"
mkdir -p "$work/other/bench/internal/before"
cp "$here"/internal/before/*.go "$work/other/bench/internal/before/"
go build -C "$work/other/bench" -o "$work/before-other" ./internal/before
go build -C "$here" -o "$work/before-this" ./internal/before
"$work/before-this" "$work/before-other"
