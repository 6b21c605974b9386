# versitygw v1.8.0, an S3 server over a folder: the second opinion on what "S3-compatible" means.
# emulators.sh sources this file.
# shellcheck shell=bash

VERSITYGW_VERSION=v1.8.0

versitygw_dir() { keyed_dir "versitygw-$VERSITYGW_VERSION" build_versitygw; }

versitygw_needs() {
  built "$(versitygw_dir)" || need go "the installation of versitygw" "install Go from https://go.dev/dl"
}

versitygw_install() {
  build "$(versitygw_dir)" build_versitygw &
}

build_versitygw() {
  cd "$1" || return # since a module around it would apply its own settings
  GOFLAGS='' GOBIN=$1 go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION"
}

versitygw_start() {
  local port
  port=$(free_port)
  mkdir -p "$RUN/versitygw"
  publish versitygw "http://127.0.0.1:$port" ROPEWALK_TEST_S3 "http://127.0.0.1:$port" \
    ROPEWALK_TEST_S3_ACCESS_KEY test ROPEWALK_TEST_S3_SECRET_KEY testtest
  spawn versitygw env -i PATH="$PATH" HOME="$RUN" "$(versitygw_dir)/versitygw" --quiet --keep-alive \
    --port "127.0.0.1:$port" --access test --secret testtest posix "$RUN/versitygw"
}

versitygw_ready() { answers "$1"; }

versitygw_store() {
  store_line "s3://ropewalk/?region=us-east-1&endpoint=$ROPEWALK_TEST_S3&path-style=true" AWS_SESSION_TOKEN '' \
    AWS_ACCESS_KEY_ID "$ROPEWALK_TEST_S3_ACCESS_KEY" AWS_SECRET_ACCESS_KEY "$ROPEWALK_TEST_S3_SECRET_KEY"
}

versitygw_stop() {
  halt versitygw
  rm -rf "$RUN/versitygw"
}
