from __future__ import annotations

import io
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import LinkageError
from generator.inspecting import read_binary
from generator.inspecting.binary import Binary, Load
from tests.counts import count
from tests.unit.binaries import X86_64, elf, fat, macho, macho_x86_64

ELF = elf(
    ["libc10.so", "libc.so.6"],
    soname="libtorch.so",
    runpath="$ORIGIN:/build/lib",
    versions={
        "libc.so.6": ["GLIBC_2.17", "GLIBC_2.28", "GLIBC_PRIVATE"],
        "libstdc++.so.6": ["GLIBCXX_3.4.22", "CXXABI_1.3.11"],
    },
)
_STRTAB = (0x10000 + 64 + 3 * 56).to_bytes(8, "little")
MACHO = macho(
    ["@loader_path/libc10.dylib", ("@rpath/libpng16.16.dylib", (73, 0, 0))],
    name="@rpath/libtorch.dylib",
    rpaths=["@loader_path"],
)


def read(content: bytes, size: int | None = None) -> tuple[Binary, ...]:
    return read_binary(io.BytesIO(content), len(content) if size is None else size, "lib/x.so")


def test_an_elf_library_is_read() -> None:
    (found,) = read(ELF)
    assert (found.format, found.machine, found.name) == ("elf", "aarch64", "libtorch.so")
    assert [load.name for load in found.needs] == ["libc10.so", "libc.so.6"]
    assert (found.rpath, found.runpath) == ((), ("$ORIGIN", "/build/lib"))
    assert found.floor == (2, 28)
    assert dict(found.versions) == {"GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 11)}
    assert not found.executable
    (program,) = read(elf(["libc.so.6"], rpath="$ORIGIN/../lib", program=True))
    assert program.executable
    assert (program.rpath, program.runpath) == (("$ORIGIN/../lib",), None)
    assert read(elf(machine=X86_64))[0].machine == "x86_64"


def test_a_macho_library_is_read() -> None:
    (found,) = read(MACHO)
    assert (found.format, found.machine, found.name) == ("macho", "arm64", "@rpath/libtorch.dylib")
    assert found.needs == (
        Load(name="@loader_path/libc10.dylib", compatibility=(1, 0, 0)),
        Load(name="@rpath/libpng16.16.dylib", compatibility=(73, 0, 0)),
    )
    assert (found.rpath, found.floor) == (("@loader_path",), (14, 0))
    assert [part.machine for part in read(fat(macho_x86_64(), MACHO))] == ["x86_64", "arm64"]
    assert read(fat(macho_x86_64(), MACHO))[1] == found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fEL",
        b"#!/bin/sh\n",
        b"PK\x03\x04",
        bytes(100),
        b"\xca\xfe\xba\xbe\x00\x00\x00\x34",  # a Java class file of version 52
    ],
)
def test_other_files_are_none_of_its_business(content: bytes) -> None:
    assert read(content) == ()


def _binaries_of_this_machine() -> list[Path]:
    found = [Path(sys.executable).resolve()]
    for folder in sys.path:
        if folder.endswith("site-packages"):
            found += sorted(Path(folder).rglob("*.so"))[:25]
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ELF files of this machine")
@pytest.mark.parametrize("path", _binaries_of_this_machine(), ids=lambda path: path.name)
def test_it_reads_what_pyelftools_reads(path: Path) -> None:
    with path.open("rb") as stream:
        (found,) = read_binary(stream, path.stat().st_size, str(path))
    with path.open("rb") as stream:
        file = ELFFile(stream)
        tags: list[Any] = [
            tag
            for segment in file.iter_segments()
            if isinstance(segment, DynamicSegment)
            for tag in segment.iter_tags()
        ]
        assert [load.name for load in found.needs] == [
            tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"
        ]
        assert found.name == next(
            (tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"), None
        )
        assert f"EM_{found.machine.upper()}" == file.header.e_machine
        section: Any = file.get_section_by_name(".gnu.version_r")
        glibc = (
            [
                tuple(map(int, part.name[6:].split(".")))
                for _, parts in section.iter_versions()
                for part in parts
                if part.name.startswith("GLIBC_") and part.name[6].isdigit()
            ]
            if section is not None
            else []
        )
        assert found.floor == max(glibc, default=())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:40], "ELF header would be"),
        (lambda b: b[:4] + b"\x09" + b[5:], "class 9"),
        (lambda b: b[:32] + b"\xff" * 8 + b[40:], "program header would be"),
        (lambda b: b[:56] + b"\xff\xff" + b[58:], "65535 program headers"),
        (lambda b: b[:-40], "dynamic section would be"),
        (lambda b: b.replace(_STRTAB, bytes(7) + b"\x7f", 1), "no segment holds the string table"),
    ],
)
def test_a_corrupt_elf_header_is_named(change, message) -> None:
    with pytest.raises(LinkageError, match=message) as caught:
        read(change(ELF))
    assert caught.value.where == "lib/x.so"
    assert "sha256" in caught.value.next_step


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:20], "Mach-O header would be"),
        (lambda b: b[:16] + b"\xff\xff\xff\x00" + b[20:], "load commands of"),
        (lambda b: b[:36] + b"\x04\x00\x00\x00" + b[40:], "a load command of 4 bytes"),
        (lambda b: b[:40] + b"\xff\x00\x00\x00" + b[44:], "a text at 255"),
        (lambda b: fat(b)[:-1], "architecture 0"),
        (lambda b: fat(b)[:28] + b"xxxx" + fat(b)[32:], "no Mach-O header"),
    ],
)
def test_a_corrupt_macho_header_is_named(change, message) -> None:
    with pytest.raises(LinkageError, match=message):
        read(change(MACHO))


def test_a_file_shorter_than_the_archive_says_is_corrupt() -> None:
    with pytest.raises(LinkageError, match="ends after"):
        read(ELF[:100], size=len(ELF))


_SAMPLES = st.sampled_from([ELF, MACHO, fat(macho_x86_64(), MACHO)])
_EXTREMES = st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])


def blamed(content: bytes) -> str:
    """Read it, or say which file the refusal names; neither may take a second of CPU time."""
    began, where = time.process_time(), "lib/x.so"
    try:
        read(content)
    except LinkageError as error:
        where = error.where
    assert time.process_time() - began < 1
    return where


@settings(max_examples=count("headers"))
@given(
    _SAMPLES,
    st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=8)), max_size=4),
    st.integers(0, 700),
)
def test_mutated_headers_are_read_or_refused(
    sample: bytes, changes: list[tuple[int, bytes]], cut: int
) -> None:
    content = bytearray(sample)
    for offset, value in changes:
        content[offset : offset + len(value)] = value
    assert blamed(bytes(content)) == "lib/x.so"
    assert blamed(bytes(content[:cut])) == "lib/x.so"


@settings(max_examples=count("headers"))
@given(_SAMPLES, st.integers(0, 170), _EXTREMES, st.sampled_from(["little", "big"]))
def test_extreme_fields_are_read_or_refused(sample: bytes, word: int, value: int, order) -> None:
    content = bytearray(sample)
    content[word * 4 : word * 4 + 8] = value.to_bytes(8, order)
    assert blamed(bytes(content)) == "lib/x.so"


def test_endless_version_lists_are_refused() -> None:
    assert read(elf(versions={"libc.so.6": ["GLIBC_2.17"] * 5000}))[0].floor == (2, 17)
    with pytest.raises(LinkageError, match="more than 8192 needed versions"):
        read(elf(versions={"libc.so.6": ["GLIBC_2.17"] * 10_000}))


class _Pipe(io.RawIOBase):
    """An archive member: forwards only, and much longer than memory should be."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self._left = head, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        size = min(len(buffer), self._left)
        self._left -= size
        part = self._head[:size]
        self._head = self._head[size:]
        buffer[:size] = part + bytes(size - len(part))
        return size


def test_a_large_member_of_a_stream_costs_no_memory() -> None:
    size = 200_000_000
    tracemalloc.start()
    try:
        (found,) = read_binary(io.BufferedReader(_Pipe(ELF, size)), size, "lib/libtorch_cpu.so")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.name == "libtorch.so"
    assert peak < 8_000_000


def test_versions_without_a_number_and_with_odd_ones():
    def floor(*versions):
        return read(elf(versions={"libc.so.6": list(versions)}))[0].floor

    assert floor("GLIBC_2.17", "GLIBC_PRIVATE") == (2, 17)
    assert floor("GLIBC_2.99", "GLIBC_2.100") == (2, 100)
    # glibc before 2.36 refuses to load it, however old the symbols are
    assert floor("GLIBC_2.34", "GLIBC_ABI_DT_RELR") == (2, 36)
    assert floor("GLIBC_2.38", "GLIBC_ABI_DT_RELR") == (2, 38)
    assert floor("GLIBC_2.17", "GLIBC_" + "9" * 40, "GLIBC_2.\u0664") == (2, 17)
