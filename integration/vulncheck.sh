#!/usr/bin/env bash
# Looks for known vulnerabilities that the code of the module, and of the modules below publish/ and observe/, reaches,
# and fails when there are any. Where the database cannot be had (no network, a closed one) it says so and goes on.
# GOVULNDB: another database, https:// or file://
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
db=${GOVULNDB:-https://vuln.go.dev}

if ! curl --silent --show-error --fail --location --max-time 15 --output /dev/null "$db/index/db.json"; then
  echo "note: $db cannot be reached: known vulnerabilities were not looked for" >&2
  exit 0
fi
go tool govulncheck -db "$db" ./...
integration/publish.sh go tool -modfile=../../go.mod govulncheck -db "$db" ./...
