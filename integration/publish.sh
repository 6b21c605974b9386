#!/usr/bin/env bash
# Runs a command in each of the modules below publish/ and observe/, in its folder, and stops at the first that fails.
#
#   publish.sh go test ./...
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
for module in publish/*/go.mod observe/*/go.mod; do
  env -C "$(dirname "$module")" "$@"
done
