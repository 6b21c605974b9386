#!/usr/bin/env bash
# Installs the servers of the benchmarks, as the integration tests do, and prints the variables that name
# their programs: eval "$(bench/servers.sh)".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../integration" && pwd)
for file in lib localstack versitygw azurite; do
  # shellcheck source=/dev/null
  source "$here/$file.sh"
done
set -m # so that each installation is a process group
for needed in versitygw dynamodb azurite; do
  dir=$("${needed}_dir")
  build "$dir" "build_$needed" >&2
done
printf 'export BENCH_VERSITYGW=%q BENCH_DYNAMODB=%q BENCH_AZURITE=%q\n' "$(versitygw_dir)/versitygw" "$(dynamodb_dir)/DynamoDBLocal.jar" \
  "$(azurite_dir)/node_modules/azurite/dist/src/blob/main.js"
