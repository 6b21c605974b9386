# Azurite 3.37.0, its blob service alone, in memory. emulators.sh sources this file.
# shellcheck shell=bash

# The account that every Azurite has; its key is published, and no secret.
AZURITE_ACCOUNT=devstoreaccount1
AZURITE_KEY=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==

azurite_dir() { keyed_dir azurite build_azurite "$(<"$PINS/azurite/package-lock.json")"; }

azurite_needs() {
  local node='install Node.js 20 or newer with npm from https://nodejs.org'
  need node Azurite "$node"
  built "$(azurite_dir)" || need npm "the installation of Azurite" "$node"
}

azurite_install() {
  build "$(azurite_dir)" build_azurite &
}

build_azurite() {
  cp "$PINS"/azurite/package*.json "$1"
  # Nothing that Azurite needs is built by its dependencies' scripts.
  npm ci --prefix "$1" --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error
  # Its garbage collection begins ten minutes after the start and, with tens of thousands of blobs in memory,
  # answers nobody for minutes. The tests' data is gone with the process anyway.
  local constants=$1/node_modules/azurite/dist/src/blob/utils/constants.js
  sed -i 's/^exports.DEFAULT_GC_INTERVAL_MS = .*/exports.DEFAULT_GC_INTERVAL_MS = 2 ** 31 - 1;/' "$constants"
  grep -q '^exports.DEFAULT_GC_INTERVAL_MS = 2 \*\* 31 - 1;' "$constants"
}

azurite_start() {
  local port url
  port=$(free_port)
  url=http://127.0.0.1:$port/$AZURITE_ACCOUNT
  publish azurite "$url" ROPEWALK_TEST_AZURITE \
    "DefaultEndpointsProtocol=http;AccountName=$AZURITE_ACCOUNT;AccountKey=$AZURITE_KEY;BlobEndpoint=$url;"
  spawn azurite env -i PATH="$PATH" HOME="$RUN" node "$(azurite_dir)/node_modules/azurite/dist/src/blob/main.js" \
    --silent --disableTelemetry --skipApiVersionCheck --inMemoryPersistence \
    --blobHost 127.0.0.1 --blobPort "$port"
}

azurite_ready() { answers "$1"; }

azurite_store() {
  store_line "azure:///" AZURE_STORAGE_CONNECTION_STRING "$ROPEWALK_TEST_AZURITE"
}

azurite_stop() { halt azurite; }
