#!/bin/sh
# Installs the Debian packages given that are missing: says so first; without root prints the command.
set -eu
missing=""
for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "install these (Debian names):$missing"; exit 1; }
if [ "$(id -u)" = 0 ]; then
    echo "installing Debian packages:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo "installing Debian packages with sudo:$missing"
    sudo apt-get update -qq
    # shellcheck disable=SC2086
    sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Debian packages are missing and this user is not root. Run:"
    echo "  sudo apt-get update && sudo apt-get install$missing"
    exit 1
fi
