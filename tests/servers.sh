#!/usr/bin/env bash
# Installs nginx and Chromium, which the tests of publishing and of the page use.
# Does nothing where both are in place.
set -euo pipefail

missing=()
command -v nginx >/dev/null || test -x /usr/sbin/nginx || missing+=(nginx-light)
command -v chromium >/dev/null || missing+=(chromium fonts-dejavu-core)
if test "${#missing[@]}" -gt 0; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi
