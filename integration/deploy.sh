#!/usr/bin/env bash
# Holds deploy/ against the clouds' own schemas, without an account: Terraform validates the modules and plans the
# examples, over providers that have a schema and nothing else, and the properties in the Bicep are held against
# the models of Azure's SDK. It needs Python 3.11 with venv; what it installs stays beside the emulators.
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
VALIDATE=$(realpath "$HERE/../deploy/validate")

validators_dir() { keyed_dir deploy-validators build_validators "$(python3 --version)" "$(<"$PINS/deploy.txt")"; }

build_validators() {
  python3 -m venv "$1"
  locked_pip "$1" --only-binary :all: --requirement "$PINS/deploy.txt"
}

main() {
  local python
  need_venv "the check of deploy/"
  build "$(validators_dir)" build_validators
  python=$(validators_dir)/bin/python
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cp -r "$VALIDATE/.." "$work/deploy" # Terraform writes into the folders of its modules
  make_providers "$python"
  for cloud in aws azure; do
    terraform "$python" "$work/deploy/$cloud" "$work/deploy/$cloud/schedules" "$work/deploy/$cloud/example" || die "Terraform rejects deploy/$cloud"
  done
  "$python" "$VALIDATE/bicep.py" "$work/deploy/azure/main.bicep" || die "deploy/azure/main.bicep does not fit Azure's models"
  reject_mistakes "$python"
  say "deploy/ fits the schemas of AWS and Azure"
}

# make_providers PYTHON: programs that Terraform takes for its providers, and the configuration that names them.
make_providers() {
  local name program
  for name in aws azurerm; do
    mkdir -p "$work/$name"
    program=$work/$name/terraform-provider-$name
    printf '#!/bin/sh\nexec "%s" "%s" "%s"\n' "$1" "$VALIDATE/provider.py" "$VALIDATE/$name.json" >"$program"
    chmod +x "$program"
  done
  cat >"$work/terraformrc" <<END
provider_installation {
  dev_overrides {
    "hashicorp/aws"     = "$work/aws"
    "hashicorp/azurerm" = "$work/azurerm"
  }
}
END
}

# terraform PYTHON FOLDER...: in a bare environment, since Terraform listens to many variables.
terraform() {
  env -i PATH="$PATH" HOME="$work" TF_CLI_CONFIG_FILE="$work/terraformrc" CHECKPOINT_DISABLE=1 \
    "$1" "$VALIDATE/terraform.py" "${@:2}"
}

# reject_mistakes PYTHON: a misspelled property must not pass, else these checks prove nothing.
reject_mistakes() {
  sed -i 's/minimumTlsVersion/minimumTLSVersion/' "$work/deploy/azure/main.bicep"
  ! "$1" "$VALIDATE/bicep.py" "$work/deploy/azure/main.bicep" >/dev/null || die "a misspelled property of the Bicep passes"
  sed -i 's/block_public_acls/block_public_acl/' "$work/deploy/aws/main.tf"
  ! terraform "$1" "$work/deploy/aws" >/dev/null || die "a misspelled argument in Terraform passes"
}

main
