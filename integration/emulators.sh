#!/usr/bin/env bash
# Installs, starts and stops the servers of the integration tests: the emulators LocalStack (S3, DynamoDB, DynamoDB
# Streams), versitygw (S3) and Azurite (Azure Blob Storage), and the databases PostgreSQL and MariaDB; it also installs
# DuckDB and Chromium, which are no servers. It runs on Linux and needs Go, Python 3.11 with venv, Node.js with npm, a
# JDK 17, Maven and curl, and root for Chromium unless that is installed, but no Docker; where Docker is at hand,
# compose.yaml does the same.
#
#   emulators.sh install   downloads what is missing; a second time it does nothing
#   emulators.sh start     installs, starts on free ports and waits until all of them answer
#   emulators.sh env       prints the variables that point the tests at them: eval "$(emulators.sh env)"
#   emulators.sh store aws|s3|azure
#                          prints a line that points the command at one of them: eval "$(emulators.sh store aws)"
#   emulators.sh status    shows what runs; fails unless all of them do
#   emulators.sh stop      ends them, and forgets their data; their logs stay
#
# ROPEWALK_EMULATORS      where they are installed (~/.cache/ropewalk-emulators)
# ROPEWALK_EMULATORS_RUN  pids, logs and data of the running ones (.cache/emulators in the checkout)
# A server whose variable (ROPEWALK_TEST_LOCALSTACK, ROPEWALK_TEST_S3, ROPEWALK_TEST_AZURITE, ROPEWALK_TEST_POSTGRES,
# ROPEWALK_TEST_MYSQL) is already set is neither installed nor started: what it names is used, be it a real account
# (see CONTRIBUTING.md). The same goes for ROPEWALK_TEST_DUCKDB_PYTHON, a Python that can import duckdb and sqlglot, and
# ROPEWALK_TEST_CHROMIUM, the path of a Chromium.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for file in lib localstack versitygw azurite postgres mariadb duckdb chromium; do
  # shellcheck source=/dev/null
  source "$here/$file.sh"
done

declare -A variable=(
  [localstack]=ROPEWALK_TEST_LOCALSTACK
  [versitygw]=ROPEWALK_TEST_S3
  [azurite]=ROPEWALK_TEST_AZURITE
  [postgres]=ROPEWALK_TEST_POSTGRES
  [mariadb]=ROPEWALK_TEST_MYSQL
  [duckdb]=ROPEWALK_TEST_DUCKDB_PYTHON
  [chromium]=ROPEWALK_TEST_CHROMIUM
)
emulators=(localstack versitygw azurite postgres mariadb)
programs=(duckdb chromium) # installed, never started
declare -A cloud=([aws]=localstack [s3]=versitygw [azure]=azurite)

given() { [[ -n ${!variable[$1]:-} ]]; }

# ours NAME...: those that no variable stands for.
ours() {
  local name
  for name; do
    given "$name" || echo "$name"
  done
}

install() {
  local name job failed=0
  need curl "the wait for the emulators" "install it, for example: apt-get install curl"
  need flock "the lock of the emulators" "install util-linux; on other systems than Linux use compose.yaml"
  for name in $(ours "${emulators[@]}" "${programs[@]}"); do "${name}_needs"; done
  # Job control gives each installation a process group, which end_installations can end.
  set -m
  trap end_installations EXIT
  for name in $(ours "${emulators[@]}" "${programs[@]}"); do "${name}_install"; done
  for job in $(jobs -p); do wait "$job" || failed=1; done
  trap - EXIT
  set +m
  return "$failed"
}

# end_installations kills, since npm takes its time over SIGTERM and nothing of a cut off installation is kept.
end_installations() {
  local job
  for job in $(jobs -p); do kill -KILL -- "-$job" 2>/dev/null || true; done
}

start() {
  local name
  check_given
  install
  mkdir -p "$RUN"
  trap stop EXIT # a start that fails or is interrupted leaves nothing behind
  for name in $(ours "${emulators[@]}"); do alive "$name" || "${name}_start"; done
  for name in $(ours "${emulators[@]}"); do await "$name"; done
  trap - EXIT
}

await() {
  local url
  url=$(<"$RUN/$1.url")
  if ! within "$READY_SECONDS" settled "$1" "$url" || dead "$1"; then
    tail -20 "$RUN/$1.log" >&2
    die "$1 did not start; the whole log: $RUN/$1.log"
  fi
  say "$1 is ready: $url"
}

settled() { dead "$1" || "${1}_ready" "$2"; }

# check_given: a variable that outlived its emulator would make every test fail in its own way.
check_given() {
  local name value url address
  for name in "${emulators[@]}"; do
    given "$name" || continue
    value=${!variable[$name]}
    url=$(sed -n 's/^\(https*:.*\)$/\1/p; s/.*BlobEndpoint=\([^;]*\).*/\1/p' <<<"$value")
    [[ -z $url ]] || answers "$url" ||
      die "nothing answers at $url, which ${variable[$name]} names" "unset ${variable[$name]} to have $name started"
    address=$(sed -n 's|^postgres.*[/@]\([^/@]*:[0-9]*\)/.*|\1|p; s|.*@tcp(\(.*:[0-9]*\))/.*|\1|p' <<<"$value")
    [[ -z $address ]] || listens "$address" ||
      die "nothing listens at $address, which ${variable[$name]} names" "unset ${variable[$name]} to have $name started"
    say "$name is not started: ${variable[$name]} is set"
  done
}

print_env() {
  local name
  for name in $(ours "${emulators[@]}"); do
    alive "$name" || die "$name is not running" "start it: $here/emulators.sh start"
  done
  for name in $(ours "${emulators[@]}"); do cat "$RUN/$name.env"; done
  for name in $(ours "${programs[@]}"); do "${name}_env"; done
}

# print_store CLOUD: for a shell, whether the emulator is ours or given.
print_store() {
  local name=${cloud[${1:-}]:-} variables
  [[ -n $name ]] || die "unknown store \"${1:-}\"" "one of: ${!cloud[*]}"
  variables=$(print_env)
  eval "$variables"
  "${name}_store"
}

# print_stores: for a person, who copies a line.
print_stores() {
  local name
  for name in aws s3 azure; do
    given "${cloud[$name]}" || print_store "$name"
  done
}

status() {
  local name failed=0
  for name in "${emulators[@]}"; do
    if given "$name"; then
      printf '%-11s given by %s\n' "$name" "${variable[$name]}"
    elif alive "$name"; then
      printf '%-11s running  pid %-8s %s\n' "$name" "$(<"$RUN/$name.pid")" "$(<"$RUN/$name.url")"
    else
      printf '%-11s stopped\n' "$name"
      failed=1
    fi
  done
  return "$failed"
}

stop() {
  local name failed=0
  for name in "${emulators[@]}"; do ("${name}_stop") || failed=1; done
  return "$failed"
}

trap 'exit 130' INT
trap 'exit 143' TERM HUP
case ${1:-} in
install | start | status | stop) "$1" ;;
env) print_env ;;
store) print_store "${2:-}" ;;
stores) print_stores ;;
*)
  say "usage: $0 install|start|env|store CLOUD|stores|status|stop"
  exit 2
  ;;
esac
