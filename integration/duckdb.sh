# DuckDB, which the tests run over Parquet files, in a virtual environment of its own. emulators.sh sources this file.
# shellcheck shell=bash

duckdb_dir() { keyed_dir duckdb build_duckdb "$(python3 --version)" "$(<"$PINS/duckdb.txt")"; }

duckdb_needs() {
  need python3 DuckDB 'install Python 3.11 or newer, for example: apt-get install python3 python3-venv'
  built "$(duckdb_dir)" || need_venv DuckDB
}

duckdb_install() {
  build "$(duckdb_dir)" build_duckdb &
}

build_duckdb() {
  python3 -m venv "$1"
  locked_pip "$1" --only-binary :all: --requirement "$PINS/duckdb.txt"
}

duckdb_env() { printf 'export ROPEWALK_TEST_DUCKDB_PYTHON=%q\n' "$(duckdb_dir)/bin/python"; }
