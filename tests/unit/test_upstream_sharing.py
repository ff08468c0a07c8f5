"""What wheels share, what may differ, and what is proven to mean the same."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.model import PythonBuild, Sharing
from generator.upstream.archive import Member
from generator.upstream.equivalence import normalise, without_build_id_and_time
from generator.upstream.policy import sharing_rules
from generator.upstream.reconstruction import rebuild
from generator.upstream.sharing import compare
from tests.counts import count
from tests.synthetic_wheels.elf import AARCH64, ARM
from tests.tiny_wheels import tiny_elf, tiny_torch

CONFIG = b'set(ATEN_FOUND 1)\nset(ATEN_INCLUDE_DIR "%s/torch/include")\nset(ATEN_LIBRARIES "")\n'


def c10(build: int, time: bytes, code: bytes = b"code" * 300, *, machine: int = AARCH64) -> bytes:
    body = code + b"\0" + time + b"\0" + code[::-1]
    return tiny_elf(build_id=bytes([build]) * 20, body=body, machine=machine)


@pytest.mark.parametrize("machine", [AARCH64, ARM])
def test_libraries_that_differ_by_build_id_and_time_are_the_same(machine: int) -> None:
    one, two = c10(1, b"00:42:16", machine=machine), c10(2, b"23:59:59", machine=machine)
    assert one != two
    assert without_build_id_and_time(one) == without_build_id_and_time(two)


@pytest.mark.parametrize(
    "other",
    [
        c10(1, b"00:42:16", b"cofe" * 300),
        c10(1, b"00-42-16"),
        c10(1, b"00:42:16") + b"\0",
        tiny_elf(build_id=b"\1" * 16, body=b"x"),
    ],
)
def test_any_other_difference_stays(other: bytes) -> None:
    assert without_build_id_and_time(c10(1, b"00:42:16")) != without_build_id_and_time(other)


def test_a_time_that_is_no_whole_string_is_content() -> None:
    one, two = (tiny_elf(body=b"took 00:00:0" + digit + b" seconds\0") for digit in (b"1", b"2"))
    assert without_build_id_and_time(one) != without_build_id_and_time(two)


@given(st.binary(max_size=300), st.integers(0, 120))
# a table of program headers at 2**63 and beyond
@example(b"\0" * 13 + b"\x80" + b"\0" * 17 + b"\x01", 26)
@settings(max_examples=count("fuzz"))
def test_broken_elf_files_are_refused_or_read_but_never_crash(noise: bytes, cut: int) -> None:
    for content in (noise, tiny_elf()[:cut] + noise):
        try:
            assert len(without_build_id_and_time(content)) == len(content)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "folder",
    [
        b"/tmp/tmpbupi4t3n/wheel/platlib",
        b"/var/folders/n6/T/tmp_5k4pbrf/wheel/platlib",
        b"/pytorch",
        b"C:/actions/_work",
    ],
)
def test_the_build_folder_is_blanked_and_nothing_else(folder: bytes) -> None:
    plain = normalise("build-path", CONFIG % b"/somewhere/else")
    assert normalise("build-path", CONFIG % folder) == plain
    assert b"/torch/include" in plain
    assert normalise("build-path", CONFIG.replace(b"FOUND 1", b"FOUND 0") % folder) != plain


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rule"):
        normalise("looks-alike", b"")


@pytest.mark.parametrize("time", [b"00:00:00", b"00:42:23", b"09:59:01", b"23:59:59", b"20:08:37"])
def test_a_library_is_rebuilt_from_its_twin_and_the_first_bytes(time: bytes) -> None:
    twin, true = c10(1, b"00:42:16"), c10(2, time)
    assert rebuild(twin, true[:600], zlib.crc32(true)) == true


def test_what_differs_otherwise_is_not_rebuilt_as_something_it_is_not() -> None:
    twin = c10(1, b"00:42:16")
    for true in (c10(2, b"11:11:11", b"cofe" * 300), c10(2, b"11:11:11", b"code" * 299 + b"code ")):
        found = rebuild(twin, true[:200], zlib.crc32(true))
        assert found is None or hashlib.sha256(found).digest() != hashlib.sha256(true).digest()
    assert rebuild(twin, b"", zlib.crc32(twin)) is None
    assert rebuild(b"text", b"text", 0) is None


Contents = Mapping[PythonBuild, Mapping[str, bytes]]


def wheels(
    change: Callable[[str, dict[str, bytes]], None] = lambda *_: None,
    pythons: str = "cp311 cp312 cp313t",
) -> Contents:
    found = {}
    for abi in pythons.split():
        contents = tiny_torch("2.10.0", abi).contents()
        change(abi, contents)
        found[PythonBuild.from_abi(abi)] = contents
    return found


def compared(contents: Contents) -> tuple[Sharing, ...]:
    members = {
        python: {
            path: Member(hashlib.sha256(data).hexdigest(), len(data))
            for path, data in files.items()
        }
        for python, files in contents.items()
    }
    order = list(members)
    random.Random(3).shuffle(order)
    return compare(
        {python: members[python] for python in order},
        sharing_rules(),
        lambda python, path, _: contents[python][path],
    )


def test_all_but_the_python_parts_is_shared() -> None:
    (found,) = compared(wheels())
    assert found.pythons == ()
    assert found.reference == "3.11"
    assert found.per_python == (
        "torch-2.10.0.dist-info/METADATA",
        "torch-2.10.0.dist-info/WHEEL",
        "torch-2.10.0.dist-info/entry_points.txt",
        "torch/_C.cpython-311-aarch64-linux-gnu.so",
        "torch/_C.cpython-312-aarch64-linux-gnu.so",
        "torch/_C.cpython-313t-aarch64-linux-gnu.so",
        "torch/lib/libtorch_python.so",
    )
    shared = {
        path: data
        for path, data in wheels()[PythonBuild(3, 11)].items()
        if path not in found.per_python
    }
    assert found.members == len(shared)
    assert found.bytes == sum(map(len, shared.values()))


def test_the_digest_follows_the_shared_bytes_only() -> None:
    def python_code(_: str, files: dict[str, bytes]) -> None:
        files["torch/lib/libtorch_python.so"] += b"!"

    def library(_: str, files: dict[str, bytes]) -> None:
        files["torch/lib/libtorch_cpu.so"] += b"!"

    ((one,), (two,), (three,)) = map(compared, (wheels(), wheels(python_code), wheels(library)))
    assert one.digest == two.digest != three.digest


def test_one_wheel_alone_keeps_its_python_parts_apart() -> None:
    (found,) = compared(wheels(pythons="cp39"))
    assert "torch/_C.cpython-39-aarch64-linux-gnu.so" in found.per_python
    assert found.members == len(wheels(pythons="cp39")[PythonBuild(3, 9)]) - 5


def test_equivalent_members_are_proven_by_their_rule() -> None:
    def change(abi: str, files: dict[str, bytes]) -> None:
        files["torch/lib/libc10.so"] = c10(int(abi[2:5]) % 7, f"00:42:{abi[3:5]}".encode())
        files["torch/share/cmake/ATen/ATenConfig.cmake"] = CONFIG % f"/build/{abi}".encode()

    (found,) = compared(wheels(change))
    assert [(each.member, each.rule) for each in found.equivalent] == [
        ("torch/lib/libc10.so", "build-id-and-time"),
        ("torch/share/cmake/ATen/ATenConfig.cmake", "build-path"),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/include/torch/torch.h",
        "torch/lib/libnew.so",
    ],
)
def test_a_library_that_differs_without_proof_sets_its_python_apart(path: str) -> None:
    def change(abi: str, files: dict[str, bytes]) -> None:
        if abi == "cp312":
            files[path] = tiny_elf(body=b"other")

    first, apart = compared(wheels(change))
    assert (first.reference, first.pythons) == ("3.11", ())
    assert (apart.reference, apart.pythons) == ("3.12", ("3.12",))
    assert "torch/_C.cpython-312-aarch64-linux-gnu.so" not in first.per_python
    assert "torch/_C.cpython-312-aarch64-linux-gnu.so" in apart.per_python
    assert first.equivalent == apart.equivalent == ()


def test_the_majority_is_the_first_group() -> None:
    def change(abi: str, files: dict[str, bytes]) -> None:
        if abi == "cp311":
            del files["torch/lib/libtorch_cpu.so"]

    first, apart = compared(wheels(change))
    assert (first.reference, apart.pythons) == ("3.12", ("3.11",))


def test_those_of_equal_bytes_are_one_group_wherever_they_stand() -> None:
    """As torch 2.1 to 2.9 for aarch64: a bundled library's name has another hash in each build."""
    build = {"cp310": "1", "cp311": "2", "cp312": "1", "cp313": "3", "cp313t": "2", "cp314": "1"}

    def change(abi: str, files: dict[str, bytes]) -> None:
        files[f"torch.libs/libarm_compute-{build[abi]}.so"] = tiny_elf(body=build[abi].encode())
        files["torch/lib/libc10.so"] = c10(int(abi[2:5]) % 7, f"00:42:{abi[3:5]}".encode())

    found = compared(wheels(change, " ".join(build)))
    assert [(each.reference, each.pythons) for each in found] == [
        ("3.10", ()),
        ("3.11", ("3.11", "3.13t")),
        ("3.13", ("3.13",)),
    ]
    # one alone proves nothing: its own bytes are what it carries
    assert [len(each.equivalent) for each in found] == [1, 1, 0]


def test_python_code_may_differ_and_then_stays_with_its_python() -> None:
    def change(abi: str, files: dict[str, bytes]) -> None:
        files["torch/__init__.py"] += abi.encode()

    (found,) = compared(wheels(change))
    assert "torch/__init__.py" in found.per_python


def test_files_that_a_rule_is_not_for_are_the_same_by_their_bytes_alone() -> None:
    def change(abi: str, files: dict[str, bytes]) -> None:
        files["torch/lib/libc10.so"] = f"no library, {abi[:5]}".encode()

    found = compared(wheels(change, "cp311 cp313 cp313t"))
    assert [(each.reference, each.pythons) for each in found] == [("3.13", ()), ("3.11", ("3.11",))]
