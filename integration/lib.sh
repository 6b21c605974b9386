# What the emulators' scripts share; emulators.sh sources it. It knows of no emulator.
# shellcheck shell=bash disable=SC2034

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PINS=$HERE/pins
# Installed once and shared by all checkouts; the running ones (pids, logs, data) belong to one checkout.
CACHE=$(realpath -m "${ROPEWALK_EMULATORS:-${XDG_CACHE_HOME:-$HOME/.cache}/ropewalk-emulators}")
RUN=$(realpath -m "${ROPEWALK_EMULATORS_RUN:-$HERE/../.cache/emulators}")
INSTALL_SECONDS=900 READY_SECONDS=180 STOP_SECONDS=5

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $1"
  [[ $# -lt 2 ]] || say "hint: $2"
  exit 1
}

# need TOOL WHAT-FOR HOW-TO-GET-IT
need() {
  command -v "$1" >/dev/null || die "$1 is missing: $2 needs it" "$3"
}

# need_venv WHAT-FOR: Python that can make virtual environments.
need_venv() {
  local how='install Python 3.11 or newer with venv, for example: apt-get install python3 python3-venv'
  need python3 "$1" "$how"
  python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    die "$(python3 --version) at $(command -v python3) is older than 3.11 or lacks venv: $1 needs it" "$how"
}

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

fetch() { curl --silent --max-time 5 --noproxy '*' "$@" 2>/dev/null; }

answers() { fetch --output /dev/null "$1"; }

# listens HOST:PORT
listens() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# free_port: a port that nobody listens on. It lies below the range that the kernel gives to clients, so
# that no outgoing connection of another test takes it before the emulator does.
free_port() {
  local port
  for port in $(shuf -i 20000-31999 -n 50); do
    if ! listens "127.0.0.1:$port"; then
      echo "$port"
      return
    fi
  done
  die "found no free port between 20000 and 31999"
}

# keyed_dir NAME FUNCTION PIN...: where the function installs NAME. All that decides what gets installed is in
# the folder's name, so that two checkouts with different pins do not replace each other's files.
keyed_dir() {
  local name=$1 recipe
  recipe=$(declare -f "$2")
  echo "$CACHE/$name-$(cksum <<<"$recipe ${*:3}" | cut -d' ' -f1)"
}

built() { [[ -e $1/.complete ]]; }

# build DIR FUNCTION: runs "FUNCTION DIR" unless DIR is complete. Two test runs may come here at the same
# time, hence the lock; an installation that was cut off lacks the stamp and is done again.
build() (
  local dir=$1 function=$2
  mkdir -p "$CACHE"
  exec 9>"$dir.lock"
  flock -w "$INSTALL_SECONDS" 9 || die "another installation holds $dir.lock"
  if built "$dir"; then return; fi
  rm -rf "$dir"
  mkdir -p "$dir/tmp"
  export TMPDIR=$dir/tmp # pip and go leave much behind there when they are killed
  say "installing ${dir##*/}"
  # A trap and not "||", which would switch off "set -e" inside the function.
  trap 'built "$dir" || build_failed "$dir"' EXIT
  "$function" "$dir" >"$dir/install.log" 2>&1
  rm -rf "$TMPDIR"
  touch "$dir/.complete"
  say "installed ${dir##*/} in $SECONDS s"
)

build_failed() {
  tail -20 "$1/install.log" >&2
  say "error: ${1##*/} could not be installed; the whole log: $1/install.log"
}

# locked_pip VENV ARGUMENT...: installs only what is pinned with a hash.
locked_pip() {
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps "${@:2}"
}

# need_maven WHAT-FOR
need_maven() { need mvn "$1" "install Maven, for example: apt-get install maven"; }

# maven_jars NAME FOLDER ARGUMENT...: downloads the jars that a POM of the pins names. One Maven at a time: several would
# write the same files into an empty repository.
maven_jars() {
  flock "$CACHE/maven.lock" mvn --quiet --batch-mode --file "$PINS/$1.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$2" "${@:3}"
}

# check_sums FOLDER SUMS: fails unless the folder has exactly the files that are listed, with these SHA-256 sums.
check_sums() {
  (cd "$1" && LC_ALL=C && sha256sum -- *) | diff "$2" -
}

# spawn NAME COMMAND...: starts the command as the leader of a process group. It holds NAME.lock for as
# long as it lives: unlike a pid, which the system gives away again, that cannot name a foreign process.
spawn() {
  local name=$1
  shift
  exec 9>"$RUN/$name.lock"
  flock -w 5 9 || die "$name is already running"
  setsid "$@" >"$RUN/$name.log" 2>&1 </dev/null &
  echo $! >"$RUN/$name.pid"
  disown
  exec 9>&-
}

alive() { [[ -e $RUN/$1.lock ]] && ! flock -n "$RUN/$1.lock" true; }

dead() { ! alive "$1"; }

# halt NAME: ends the process group that spawn started; kills it when it takes too long. The log stays.
halt() {
  if alive "$1"; then end_group "$1"; fi
  rm -f "$RUN/$1".{pid,url,env}
}

end_group() {
  local pid
  pid=$(<"$RUN/$1.pid")
  kill -TERM -- "-$pid" 2>/dev/null || true
  within "$STOP_SECONDS" dead "$1" || kill -KILL -- "-$pid" 2>/dev/null || true
  within "$STOP_SECONDS" dead "$1" || die "$1, process $pid, does not end"
}

# store_line URL VARIABLE VALUE...: prints what points the command at a store, as a line for a shell.
store_line() {
  local url=$1
  shift
  printf 'export'
  for (( ; $#; )); do
    printf ' %s=%s' "$1" "${2@Q}"
    shift 2
  done
  printf ' ROPEWALK_STORE=%s\n' "${url@Q}"
}

# publish NAME URL VARIABLE VALUE...: records where NAME is reached and what the tests are told about it.
publish() {
  local name=$1
  echo "$2" >"$RUN/$name.url"
  shift 2
  printf 'export %s=%q\n' "$@" >"$RUN/$name.env"
}
