"""Ways in which a wheel can be wrong, by name; each keeps everything else true."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.synthetic_wheels.archive import TinyWheel
from tests.synthetic_wheels.elf import X86_64, elf
from tests.synthetic_wheels.macho import BUILD_VERSION, macho_x86_64
from tests.synthetic_wheels.pe import AMD64, pe


def corrupt(wheel: TinyWheel, how: str) -> TinyWheel:
    """Return the wheel spoilt in a way of `CORRUPTIONS`; KeyError for any other."""
    return CORRUPTIONS[how](wheel)


def _library(wheel: TinyWheel) -> str:
    """Return the member that is spoilt: the largest library, else the only one."""
    names = [name for name in wheel.members if name.endswith((".so", ".dylib", ".dll", ".pyd"))]
    return next((name for name in names if "torch_cpu." in name), names[0])


def _replaced(wheel: TinyWheel, name: str, content: bytes) -> TinyWheel:
    return replace(wheel, members={**wheel.members, name: content})


def _other_machine(wheel: TinyWheel) -> TinyWheel:
    name = _library(wheel)
    magic = wheel.members[name][:2]
    other = {b"MZ": pe(machine=AMD64), b"\xcf\xfa": macho_x86_64()}.get(magic, elf(machine=X86_64))
    return _replaced(wheel, name, other)


def _other_format(wheel: TinyWheel) -> TinyWheel:
    name = _library(wheel)
    windows = wheel.members[name].startswith(b"MZ")
    return _replaced(wheel, name, elf() if windows else pe())


def _high_floor(wheel: TinyWheel) -> TinyWheel:
    """Let a library ask for a newer glibc (2.39) or macOS (26.0) than the tag says."""
    name = _library(wheel)
    build_version = struct.Struct("<IIII").pack
    newer = (
        wheel.members[name]
        .replace(b"GLIBC_2.28\0", b"GLIBC_2.39\0")
        .replace(
            build_version(BUILD_VERSION, 24, 1, 14 << 16),
            build_version(BUILD_VERSION, 24, 1, 26 << 16),
        )
    )
    return _replaced(wheel, name, newer)


def _doubled(wheel: TinyWheel) -> TinyWheel:
    return replace(wheel, doubled=[_library(wheel)])


def _thousands_of_licences(wheel: TinyWheel) -> TinyWheel:
    """Add texts that would make the lock larger than any is read."""
    texts = {f"{wheel.dist_info}/licenses/{number}.txt": b"x" for number in range(2001)}
    return replace(wheel, members={**wheel.members, **texts})


def _thousands_of_headers(wheel: TinyWheel) -> TinyWheel:
    """Add fields to METADATA that would take minutes to read."""
    lines = b"".join(b"X-%d: x\n" % number for number in range(100_000))
    return replace(wheel, metadata=lines + wheel.metadata_bytes())


def _unlisted(wheel: TinyWheel) -> TinyWheel:
    rows = wheel.record_bytes().splitlines(keepends=True)
    start = f"{_library(wheel)},".encode()
    return replace(wheel, record=b"".join(row for row in rows if not row.startswith(start)))


def _other_bytes(wheel: TinyWheel) -> TinyWheel:
    """Keep the RECORD of the library that was, and pack another of the same size."""
    name = _library(wheel)
    content = wheel.members[name]
    spoilt = _replaced(wheel, name, content[:-1] + bytes([content[-1] ^ 1]))
    return replace(spoilt, record=wheel.record_bytes())


def _case_clash(wheel: TinyWheel) -> TinyWheel:
    """Add a file whose name differs in case only, which Windows and macOS cannot hold."""
    name = next(iter(wheel.members))
    folder, _, last = name.rpartition("/")
    return _replaced(wheel, f"{folder}/{last.swapcase()}", b"another\n")


def _truncated_headers(wheel: TinyWheel) -> TinyWheel:
    name = _library(wheel)
    return _replaced(wheel, name, wheel.members[name][:40])


CORRUPTIONS: Final[dict[str, Callable[[TinyWheel], TinyWheel]]] = {
    "other-machine": _other_machine,
    "other-format": _other_format,
    "floor-above-tag": _high_floor,
    "doubled-member": _doubled,
    "missing-record-row": _unlisted,
    "thousands-of-licences": _thousands_of_licences,
    "thousands-of-headers": _thousands_of_headers,
    "other-bytes": _other_bytes,
    "case-clash": _case_clash,
    "truncated-headers": _truncated_headers,
}
