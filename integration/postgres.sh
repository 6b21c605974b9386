# PostgreSQL 16.4, without a package manager: initdb and postgres out of a jar. emulators.sh sources this file.
# shellcheck shell=bash

postgres_machine() {
  case $(uname -m) in
  x86_64) echo amd64 ;;
  aarch64 | arm64) echo arm64v8 ;;
  *) die "no PostgreSQL can be installed on $(uname -m)" "start one and set ROPEWALK_TEST_POSTGRES" ;;
  esac
}

postgres_dir() {
  keyed_dir postgres build_postgres "$(postgres_machine)" "$(<"$PINS/postgres.xml")" "$(<"$PINS/postgres.sha256")"
}

postgres_needs() {
  postgres_machine >/dev/null
  ((EUID != 0)) || need setpriv "PostgreSQL, which refuses to run as root," "install util-linux"
  if ! built "$(postgres_dir)"; then
    need python3 "the installation of PostgreSQL" "install Python 3.11 or newer, for example: apt-get install python3"
    need_maven "the installation of PostgreSQL"
  fi
}

postgres_install() {
  build "$(postgres_dir)" build_postgres &
}

build_postgres() {
  local machine
  machine=$(postgres_machine)
  maven_jars postgres "$1/jar" -Dmachine="$machine"
  check_sums "$1/jar" <(grep -F -- "-$machine-" "$PINS/postgres.sha256")
  python3 -m zipfile --extract "$1"/jar/*.jar "$1/jar"
  python3 -m tarfile --extract "$1"/jar/*.txz "$1/postgres"
  rm -r "$1/jar"
}

# postgres_start: the programs are copied to where a user without rights can read them, unlike the home folder of root.
# The data ends with the server, so no write waits for a disk.
postgres_start() {
  local port folder as=()
  postgres_stop # what a killed one left
  port=$(free_port)
  folder=$(mktemp -d /tmp/ropewalk-postgres.XXXXXX)
  echo "$folder" >"$RUN/postgres.folder"
  cp -R "$(postgres_dir)/postgres/." "$folder"
  if ((EUID == 0)); then
    as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
    chown -R nobody "$folder"
  fi
  (cd "$folder" && "${as[@]}" bin/initdb --pgdata data --username postgres --auth trust --encoding UTF8 --locale C \
    --no-sync) >"$RUN/postgres-initdb.log" 2>&1 || die "initdb failed; the whole log: $RUN/postgres-initdb.log"
  publish postgres "postgres://127.0.0.1:$port" \
    ROPEWALK_TEST_POSTGRES "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
  spawn postgres env -i PATH="$PATH" "${as[@]}" "$folder/bin/postgres" -D "$folder/data" -p "$port" -F \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300
}

postgres_ready() { grep -q 'ready to accept connections' "$RUN/postgres.log"; }

# postgres_stop: SIGTERM would let PostgreSQL wait until all clients are gone.
postgres_stop() {
  if alive postgres; then kill -INT "$(<"$RUN/postgres.pid")" 2>/dev/null || true; fi
  within "$STOP_SECONDS" dead postgres || true
  halt postgres
  [[ ! -e $RUN/postgres.folder ]] || rm -rf "$(<"$RUN/postgres.folder")" "$RUN/postgres.folder"
}
