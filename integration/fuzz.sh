#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, FUZZTIME (10s) each.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# targets: "PACKAGE TARGET" for each; "go test -list" prints a package's targets above its name.
targets() {
  go test -list '^Fuzz' ./... | awk '
    /^Fuzz/ { names[++n] = $1 }
    $1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }'
}

list=$(targets)
while read -r package target; do
  [[ -n $package ]] || continue
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 20x "$package" </dev/null
done <<<"$list"
