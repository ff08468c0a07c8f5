#!/usr/bin/env bash
# Installs nginx and Chromium, which the tests of publishing and of the page use.
# Does nothing where both are in place.
set -euo pipefail

missing=()
command -v nginx >/dev/null || test -x /usr/sbin/nginx || missing+=(nginx-light)
# Ubuntu has no such package, only a snap: there playwright brings a Chromium of its own
if ! command -v chromium >/dev/null && ! grep -qs '^ID=ubuntu' /etc/os-release; then
  missing+=(chromium fonts-dejavu-core)
fi
# gitlab-ci-local, where npm is there to bring it, copies with it
if command -v npm >/dev/null && ! command -v rsync >/dev/null; then missing+=(rsync); fi
# the node that comes with playwright, which drives the browser, is linked against it
test -n "$(find /usr/lib /lib -name 'libatomic.so.1' -print -quit 2>/dev/null)" || missing+=(libatomic1)
if test "${#missing[@]}" -gt 0; then
  export DEBIAN_FRONTEND=noninteractive
  # another apt may be at work, and a mirror may not answer at once
  patient=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  apt-get "${patient[@]}" update -q
  apt-get "${patient[@]}" install -qy --no-install-recommends "${missing[@]}"
fi
