# LocalStack 4.9.2 without Docker: S3 of its own, DynamoDB and DynamoDB Streams by DynamoDB Local, a Java
# program that it starts. emulators.sh sources this file.
# shellcheck shell=bash

LOCALSTACK_VERSION=4.9.2
LOCALSTACK_SERVICES=(s3 dynamodb dynamodbstreams)

localstack_dir() {
  keyed_dir "localstack-$LOCALSTACK_VERSION" build_localstack "$(python3 --version)" \
    "$(<"$PINS/localstack.txt")" "$(<"$PINS/python-build.txt")"
}

dynamodb_dir() {
  keyed_dir dynamodb-local build_dynamodb "$(<"$PINS/dynamodb-local.xml")" "$(<"$PINS/dynamodb-local.sha256")"
}

localstack_needs() {
  local jdk='install a JDK 17 or newer, for example: apt-get install openjdk-17-jdk-headless'
  need python3 LocalStack 'install Python 3.11 or newer, for example: apt-get install python3 python3-venv'
  need java LocalStack "$jdk"
  need_java_17 "$jdk"
  built "$(localstack_dir)" || need_venv LocalStack
  if ! built "$(dynamodb_dir)"; then
    need jar "the installation of DynamoDB Local" "$jdk"
    need_maven "the installation of DynamoDB Local"
  fi
}

need_java_17() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17)) || die "java at $(command -v java) is version ${version:-unknown}: LocalStack needs 17 or newer" "$1"
}

localstack_install() {
  build "$(localstack_dir)" build_localstack &
  build "$(dynamodb_dir)" build_dynamodb &
}

build_localstack() {
  local provider
  python3 -m venv "$1"
  # Nothing is installed whose hash is not pinned; tailer alone has no wheel.
  locked_pip "$1" --only-binary :all: --requirement "$PINS/python-build.txt"
  locked_pip "$1" --only-binary :all: --no-binary tailer --no-build-isolation --requirement "$PINS/localstack.txt"
  # LocalStack keeps large S3 objects in one fixed folder under /tmp, where two of them delete each other's
  # buckets. Without a name it makes a temporary folder, which lies below TMPDIR.
  provider=$(echo "$1"/lib/python3*/site-packages/localstack/services/s3/provider.py)
  sed -i 's|^DEFAULT_S3_TMP_DIR = .*|DEFAULT_S3_TMP_DIR = None|' "$provider"
  grep -q '^DEFAULT_S3_TMP_DIR = None$' "$provider"
}

# build_dynamodb DIR: the files that LocalStack would otherwise download, with the names that it looks for.
build_dynamodb() {
  maven_jars dynamodb-local "$1/DynamoDBLocal_lib"
  check_sums "$1/DynamoDBLocal_lib" "$PINS/dynamodb-local.sha256"
  mv "$1"/DynamoDBLocal_lib/byte-buddy-agent-*.jar "$1/ddb-local-loader-0.1.jar"
  dynamodb_manifest "$1" >"$1/manifest.txt"
  jar --create --file "$1/DynamoDBLocal.jar" --manifest "$1/manifest.txt"
}

# dynamodb_manifest DIR: LocalStack runs "java -jar DynamoDBLocal.jar"; the manifest names the real jars.
# A manifest's lines are short, and go on in lines that begin with a space.
dynamodb_manifest() {
  echo 'Main-Class: com.amazonaws.services.dynamodbv2.local.main.ServerRunner'
  echo 'Class-Path: DynamoDBLocal_lib/'
  (cd "$1" && printf '  %s\n' DynamoDBLocal_lib/*.jar)
}

localstack_start() {
  local port root=$RUN/localstack
  port=$(free_port)
  halt dynamodb # one that outlived its LocalStack
  localstack_root "$root"
  publish localstack "http://127.0.0.1:$port" ROPEWALK_TEST_LOCALSTACK "http://127.0.0.1:$port"
  # Its Python can import boto3, with which an independent reader of packed chains is written.
  printf 'export ROPEWALK_TEST_BOTO3_PYTHON=%q\n' "$(localstack_dir)/bin/python" >>"$RUN/localstack.env"
  # A bare environment: LocalStack listens to many variables that a developer may have set for other ends
  # (DEBUG, PERSISTENCE, AWS_*), and none of them shall change what is tested.
  spawn localstack env -i PATH="$PATH" HOME="$root" TMPDIR="$root/tmp" PYTHONUTF8=1 \
    OVERRIDE_IN_DOCKER=0 FILESYSTEM_ROOT="$root" \
    GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port" DNS_ADDRESS=0 \
    SERVICES="$(IFS=, && echo "${LOCALSTACK_SERVICES[*]}")" STRICT_SERVICE_LOADING=1 EAGER_SERVICE_LOADING=1 \
    PROVIDER_OVERRIDE_DYNAMODB=v2 DYNAMODB_IN_MEMORY=1 \
    DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 LS_LOG=warn \
    "$(localstack_dir)/bin/python" -m localstack.runtime.main
}

# localstack_root ROOT: a file system of this run's own, since LocalStack empties its folder of temporary
# files when it starts. What it would download is found there already.
localstack_root() {
  local lib=$1/var/lib/localstack/lib
  rm -rf "$1"
  mkdir -p "$1/tmp" "$lib/dynamodb-local" "$lib/java/21/bin"
  ln -s "$(dynamodb_dir)" "$lib/dynamodb-local/2"
  java_holding_lock "$1/tmp" >"$lib/java/21/bin/java"
  chmod +x "$lib/java/21/bin/java"
}

# java_holding_lock TMP: a "java" that can be found again. LocalStack starts it in a session of its own, where
# no signal to LocalStack's group arrives, and leaves it behind when it dies. Java knows no TMPDIR.
java_holding_lock() {
  cat <<END
#!/usr/bin/env bash
exec 9>"$RUN/dynamodb.lock"
flock -w 5 9 || exit 1
echo \$\$ >"$RUN/dynamodb.pid"
exec "$(command -v java)" -Djava.io.tmpdir="$1" "\$@"
END
}

localstack_ready() {
  local health service
  health=$(fetch --fail "$1/_localstack/health" | tr -d ' ') || return 1
  for service in "${LOCALSTACK_SERVICES[@]}"; do
    [[ $health == *"\"$service\":\"running\""* ]] || return 1
  done
  # LocalStack learns the operations of a service when the first request for it comes. A second request at that
  # moment would get 501, "no handler for operation".
  localstack_asks "$1" s3 && localstack_asks "$1" dynamodb DynamoDB_20120810.ListTables &&
    localstack_asks "$1" dynamodb DynamoDBStreams_20120810.ListStreams
}

# localstack_asks URL SERVICE [TARGET]: the lists of buckets, of tables, of streams.
localstack_asks() {
  local credential=test/20260101/us-east-1/$2/aws4_request
  local request=(--header "Authorization: AWS4-HMAC-SHA256 Credential=$credential, SignedHeaders=host, Signature=0")
  (($# < 3)) || request+=(--header "X-Amz-Target: $3" --header 'Content-Type: application/x-amz-json-1.0' --data '{}')
  fetch --fail --output /dev/null "${request[@]}" "$1/"
}

localstack_store() {
  [[ $ROPEWALK_TEST_LOCALSTACK == http* ]] ||
    die "ROPEWALK_TEST_LOCALSTACK names an account of your own" "set ROPEWALK_STORE yourself: see docs/aws.md"
  store_line "aws://ropewalk/?table=ropewalk&region=us-east-1&endpoint=$ROPEWALK_TEST_LOCALSTACK&path-style=true" \
    AWS_ACCESS_KEY_ID test AWS_SECRET_ACCESS_KEY test AWS_SESSION_TOKEN ''
}

localstack_stop() {
  halt localstack
  halt dynamodb
  rm -rf "$RUN/localstack"
}
