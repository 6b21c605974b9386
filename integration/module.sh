#!/usr/bin/env bash
# Gives the module another path, for the repository that it is published from: in go.mod, in the modules of the
# benchmarks, of the publishers and of the observer, and in every import, those in the documents included.
#
#   module.sh example.org/acme/ropewalk
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
new=${1:-}
if [[ ! $new =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$ ]]; then
  printf 'error: module path "%s"\nhint: make module MODULE=host/owner/ropewalk\n' "$new" >&2
  exit 2
fi
old=$(go list -m)

# An import is a path alone on its line, after a name at most. Other strings that begin like the module, such as the
# domain of a digest, stay.
import='^([[:space:]]*(import )?([[:alnum:]_.]+ )?)"'$old'(/[^"]*)?"$'
find . -name .git -prune -o -name .cache -prune -o -type f \( -name '*.go' -o -name '*.md' \) -print0 |
  xargs -0 sed -E -i "s#$import#\\1\"$new\\4\"#"

sed -i "s#-replace $old=#-replace $new=#" README.md # the recipe for programs that import a checkout

go mod edit -module "$new"
for file in bench/go.mod publish/*/go.mod observe/*/go.mod; do
  folder=$(dirname "$file")
  go mod edit -module "$new/$folder" -droprequire "$old" -dropreplace "$old" \
    -require "$new@v0.0.0" -replace "$new=$(realpath --relative-to="$folder" .)" "$file"
done
