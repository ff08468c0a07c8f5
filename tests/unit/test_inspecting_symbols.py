"""What libraries export and ask for, in all three formats; lief reads the same."""

from __future__ import annotations

import io
import struct
import time
from typing import Any

import lief
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import LinkageError
from generator.inspecting import Symbols, pack_defined, read_symbols, unpack_defined
from tests.counts import count
from tests.synthetic_wheels.elf import AARCH64, ARM, elf
from tests.synthetic_wheels.macho import fat, macho, macho_x86_64
from tests.synthetic_wheels.pe import pe

X, CXX, R = "@rpath/libx.dylib", "/usr/lib/libc++.1.dylib", "@rpath/libr.dylib"
VERSIONS = {"libc.so.6": ["GLIBC_2.17", "GLIBC_2.28"], "libm.so.6": ["GLIBC_2.29"]}
ASKS = {"anybodys": "", "libcs": "GLIBC_2.28", "libms": "GLIBC_2.29"}
DEFINES = ["first", "second", "_ZN2at6Tensor1fEv"]


def read(content: bytes, machine: str = "aarch64", *, headers: bool = False) -> Symbols:
    found = read_symbols(io.BytesIO(content), len(content), "lib/x.dll", machine, headers=headers)
    assert found is not None
    return found


def an_elf(**more) -> bytes:
    given_ = {"defines": DEFINES, "asks": ASKS, "weak": ["maybe"], "versions": VERSIONS}
    return elf(["libx.so"], soname="liba.so", **{**given_, **more})


def a_macho(**more) -> bytes:
    binds = {"_x": X, "_cxx": CXX, "_flat": "", "_weak": X}
    given_ = {"exports": ["_a", "_ab", "_abc", "_b"], "binds": binds, "weak": ["_weak"]}
    return macho([X, CXX], name="@rpath/liba.dylib", reexports=[R], **{**given_, **more})


@pytest.mark.parametrize("machine", [AARCH64, ARM])
@pytest.mark.parametrize("gnu_hash", [False, True])
@pytest.mark.parametrize("sections", [False, True])
@pytest.mark.parametrize("headers", [False, True])
def test_an_elf_symbol_has_the_file_of_its_version(machine, gnu_hash, sections, headers) -> None:
    content = an_elf(machine=machine, gnu_hash=gnu_hash, sections=sections)
    found = read(content, headers=headers)
    assert set(found.defined) == set(DEFINES)
    assert found.undefined == {"anybodys": "", "libcs": "libc.so.6", "libms": "libm.so.6"}
    assert found.needed_versions == {k: frozenset(v) for k, v in VERSIONS.items()}


def test_a_library_without_dynamic_symbols_has_none() -> None:
    found = read(elf(soname="libx.so"))
    assert (set(found.defined), dict(found.undefined)) == (set(), {})


@pytest.mark.parametrize("fixups", [0, 1, 2, 3])
@pytest.mark.parametrize("wrap", [lambda thin: thin, lambda thin: fat(macho_x86_64(), thin)])
def test_a_mac_symbol_has_the_library_it_is_bound_to(fixups, wrap) -> None:
    found = read(wrap(a_macho(fixups=fixups)), "arm64")
    assert found.undefined == {"_x": X, "_cxx": CXX, "_flat": ""}
    assert found.reexports == (R,)
    assert sorted(found.defined) == ["_a", "_ab", "_abc", "_b"]
    assert [n for n in ("_", "_a", "_abc", "_abcd", "_c", "") if n in found.defined] == [
        "_a",
        "_abc",
    ]


def test_a_mac_file_for_another_machine_has_no_symbols_for_this_one() -> None:
    content = macho_x86_64()
    assert read_symbols(io.BytesIO(content), len(content), "x", "arm64") is None


def test_a_dll_says_from_which_dll_a_name_comes() -> None:
    found = read(pe(["x.dll", "y.dll"], name="a.dll", exports=["e"], asks={"x.dll": ["f", "g"]}))
    assert set(found.defined) == {"e"}
    assert found.undefined == {"f": "x.dll", "g": "x.dll", "DllMain": "y.dll"}


_NAMES = st.lists(
    st.text("abcd_EZN0123456789", min_size=1, max_size=12), min_size=1, max_size=30, unique=True
)


@settings(max_examples=count("fuzz"))
@given(_NAMES, _NAMES, st.booleans(), st.booleans())
def test_lief_finds_the_same_elf_symbols(defines, asks, gnu_hash, sections) -> None:
    asks = [name for name in asks if name not in defines]
    content = elf(
        defines=defines, asks=dict.fromkeys(asks, ""), gnu_hash=gnu_hash, sections=sections
    )
    theirs = lief.ELF.parse(io.BytesIO(content))
    assert theirs is not None
    for headers in (False, True):
        found = read(content, headers=headers)
        assert set(found.defined) == {s.name for s in theirs.exported_symbols}
        assert set(found.undefined) == {s.name for s in theirs.imported_symbols}


@settings(max_examples=count("fuzz"))
@given(_NAMES)
def test_lief_finds_the_same_mac_exports(exports) -> None:
    content = a_macho(exports=exports, fixups=0)
    theirs: Any = lief.MachO.parse(io.BytesIO(content)).at(0)  # type: ignore[union-attr]
    found = read(content, "arm64")
    assert set(found.defined) == {each.symbol.name for each in theirs.dyld_info.exports}
    assert all(name in found.defined for name in exports)
    assert {"_x", "_cxx", "_flat"} == set(found.undefined)
    names = {each.symbol.name for each in theirs.bindings}
    assert names == {"_x", "_cxx", "_flat", "_weak"}


@pytest.mark.parametrize("content", [an_elf(), a_macho()], ids=["elf", "macho"])
def test_what_a_library_exports_can_be_kept(content: bytes) -> None:
    found = read(content, "arm64")
    again = unpack_defined(pack_defined(found), "lib/x.dll")
    assert set(again.defined) == set(found.defined)
    assert again.reexports == found.reexports


_SAMPLES = st.sampled_from(
    [
        (an_elf(), "aarch64"),
        (an_elf(gnu_hash=True, sections=True), "aarch64"),
        (a_macho(), "arm64"),
        (a_macho(fixups=0), "arm64"),
        (pe(["x.dll"], name="a.dll", exports=["e"], asks={"x.dll": ["f"]}), "arm64"),
    ]
)
_EXTREMES = st.sampled_from(
    [0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 22, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1]
)


def judged(content: bytes, machine: str) -> None:
    """Read it all or refuse it as this file's; either within a second of CPU time."""
    began, blamed = time.process_time(), "lib/x.dll"
    for headers in (False, True):
        try:
            found = read_symbols(
                io.BytesIO(content), len(content), "lib/x.dll", machine, headers=headers
            )
            if found is not None:
                assert "no such name" not in found.defined
                list(found.defined)
        except LinkageError as error:
            blamed = error.where
    assert blamed == "lib/x.dll"
    assert time.process_time() - began < 1


@settings(max_examples=count("headers"))
@given(_SAMPLES, st.integers(0, 500), _EXTREMES, st.sampled_from([1, 2, 4, 8]), st.booleans())
def test_extreme_fields_are_read_or_refused(sample, place, value, width, big) -> None:
    content = bytearray(sample[0])
    at = place * 2 % len(content)
    content[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(
        width, "big" if big else "little"
    )
    judged(bytes(content), sample[1])


@settings(max_examples=count("headers"))
@given(_SAMPLES, st.integers(0, 1500), st.binary(min_size=1, max_size=8), st.integers(0, 1500))
def test_mutated_tables_are_read_or_refused(sample, place, value, cut) -> None:
    content = bytearray(sample[0])
    at = place % len(content)
    content[at : at + len(value)] = value
    judged(bytes(content), sample[1])
    judged(bytes(content[:cut]), sample[1])


def test_an_export_trie_that_leads_to_itself_is_refused() -> None:
    names = read(a_macho(exports=["_a"]), "arm64").defined
    content = pack_defined(read(a_macho(exports=["_a"]), "arm64"))
    head, _, _ = content.partition(b"\n")
    loop = head + b"\n" + b"\0\1a\0" + b"\0"
    found = unpack_defined(loop, "lib/x.dll").defined
    assert "_a" in names
    assert "aaaa" not in found
    with pytest.raises(LinkageError, match="has no end"):
        list(found)


def test_a_name_may_end_with_an_edge_without_a_text() -> None:
    """As older linkers write "_a" and "_ab": behind "_a" the edges "b" and "" lead on."""
    head, _, _ = pack_defined(read(a_macho(exports=["_a"]), "arm64")).partition(b"\n")
    root, branch, end = b"\0\1_a\0\6", b"\0\2b\0\x0d\0\x0d", b"\2\0\20\0"
    names = unpack_defined(head + b"\n" + root + branch + end, "lib/x.dll").defined
    assert sorted(names) == ["_a", "_ab"]
    assert [n for n in ("_", "_a", "_ab", "_abb", "") if n in names] == ["_a", "_ab"]


def test_names_that_overlap_to_more_than_the_file_are_refused() -> None:
    many = [f"{'x' * 1000}{number}" for number in range(300)]
    content = elf(defines=many)
    names = content.index(many[0].encode())
    rows = content.index(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x10000, 8))
    assert len(set(read(content).defined)) == 300
    # every symbol is called what the whole table of names is
    joined = bytearray(content.replace(b"\0xxxx", b"xxxxx"))
    for number in range(300):
        struct.pack_into("<I", joined, rows + 24 * number, 1 + number)
    assert joined[names : names + 4] == b"xxxx"
    with pytest.raises(LinkageError, match="overlap"):
        read(bytes(joined))
