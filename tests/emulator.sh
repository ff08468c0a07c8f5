#!/usr/bin/env bash
# Installs qemu-user and registers it for aarch64, so that the kernel runs ARM programs itself, and
# what builds such programs: the cross compiler, CMake and make. Does nothing where all is in place.
set -euo pipefail

wanted=()
# on ARM itself nothing is emulated, and registered there qemu would be given every program
native=$(test "$(uname -m)" = aarch64 && echo yes || true)
test -n "$native" || command -v qemu-aarch64-static >/dev/null || wanted+=(qemu-user-static)
command -v aarch64-linux-gnu-g++ >/dev/null || wanted+=(g++-aarch64-linux-gnu)
command -v aarch64-linux-gnu-gcc >/dev/null || wanted+=(gcc-aarch64-linux-gnu)
command -v cmake >/dev/null || wanted+=(cmake)
command -v make >/dev/null || wanted+=(make)
if test ${#wanted[@]} -gt 0; then
  export DEBIAN_FRONTEND=noninteractive
  # another apt may be at work, and a mirror may not answer at once
  patient=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  apt-get "${patient[@]}" update -q
  apt-get "${patient[@]}" install -qy --no-install-recommends "${wanted[@]}"
fi

test -z "$native" || exit 0
formats=/proc/sys/fs/binfmt_misc
if ! test -e "$formats/register"; then
  mount -t binfmt_misc none "$formats" 2>/dev/null || true
fi
if test -e "$formats/register" && ! test -e "$formats/qemu-aarch64"; then
  # ELF, 64 bit, little endian, EXEC or DYN, machine 183 (AArch64); F: the kernel keeps the
  # interpreter open, so that it is found from inside any folder or chroot.
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" \
    > "$formats/register" || echo 'emulator: binfmt_misc is closed here; qemu is called by name'
fi
