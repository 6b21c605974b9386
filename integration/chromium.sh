# Chromium, in which the tests look at the pages of "ropewalk ui". emulators.sh sources this file.
# shellcheck shell=bash
#
# It comes from the system's packages and not from a pin: a browser is only as safe as it is new, and the packages are
# signed. One that is installed already is used; otherwise Debian's is installed, which takes root.

chromium_path() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name"; then return; fi
  done
  return 1
}

chromium_needs() {
  chromium_path >/dev/null || { ((EUID == 0)) && command -v apt-get >/dev/null; } ||
    die "Chromium is missing: the tests of \"ropewalk ui\" need it" \
      "install it, for example: sudo apt-get install chromium; or name one in ROPEWALK_TEST_CHROMIUM"
}

chromium_install() {
  chromium_path >/dev/null || apt_install chromium &
}

# apt_install PACKAGE: with the lists as they are, and with new ones if these no longer fit the archive. It runs in a
# session of its own, because an interrupt kills all installations, and dpkg must not be cut off.
apt_install() {
  local get=(setsid --wait env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout="$INSTALL_SECONDS")
  "${get[@]}" install -y --no-install-recommends "$1" >/dev/null 2>&1 && return
  "${get[@]}" update >/dev/null
  "${get[@]}" install -y --no-install-recommends "$1" >/dev/null
}

chromium_env() { printf 'export ROPEWALK_TEST_CHROMIUM=%q\n' "$(chromium_path)"; }
