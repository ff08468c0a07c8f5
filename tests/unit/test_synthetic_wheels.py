"""The synthetic wheels are what they say: independent readers see what was asked for."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import lief
import pytest
from packaging.utils import parse_wheel_filename

from generator.errors import IntegrityError, UnsafeArchiveError
from generator.upstream.archive import check_directory, check_record, parse_record
from tests.synthetic_wheels import CORRUPTIONS, Release, TinyWheel, corrupt
from tests.synthetic_wheels.binaries import platforms
from tests.synthetic_wheels.elf import ARM, elf
from tests.synthetic_wheels.macho import macho
from tests.synthetic_wheels.pe import pe

lief.logging.disable()
PYTHONS = ("cp312", "cp314t")


def release(subdir: str, **facts: object) -> Release:
    return Release(subdir=subdir, torch="2.10.0", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("machine", [ARM, 183])
def test_lief_reads_the_elf_files(machine):
    content = elf(
        ["libc10.so", "libc.so.6"],
        machine=machine,
        soname="libtorch.so",
        runpath="$ORIGIN",
        versions={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.28"]},
        build_id=b"\7" * 20,
        program=True,
    )
    found: Any = lief.ELF.parse(io.BytesIO(content))
    tags = lief.ELF.DynamicEntry.TAG
    assert int(found.header.machine_type) == machine
    assert found.libraries == ["libc10.so", "libc.so.6"]
    assert found[tags.SONAME].name == "libtorch.so"
    assert found[tags.RUNPATH].runpath == "$ORIGIN"
    assert found.interpreter.startswith("/lib/ld-linux")
    versions = found.symbols_version_requirement
    assert [a.name for v in versions for a in v.get_auxiliary_symbols()] == [
        "GLIBC_2.17",
        "GLIBC_2.28",
    ]
    assert bytes(next(iter(found.notes)).description) == b"\7" * 20
    stack = next(s for s in found.segments if s.type == lief.ELF.Segment.TYPE.GNU_STACK)
    assert not stack.has(lief.ELF.Segment.FLAGS.X)


def test_lief_reads_the_macho_files():
    content = macho(
        ["@loader_path/libc10.dylib", ("@rpath/libpng16.16.dylib", (73, 0, 0))],
        name="@rpath/libtorch.dylib",
        rpaths=["@loader_path"],
        minos=(14, 0),
    )
    slices: Any = lief.MachO.parse(io.BytesIO(content))
    found = slices[0]
    assert found.header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64
    assert [(row.name, row.compatibility_version) for row in found.libraries] == [
        ("@rpath/libtorch.dylib", [1, 0, 0]),
        ("@loader_path/libc10.dylib", [1, 0, 0]),
        ("@rpath/libpng16.16.dylib", [73, 0, 0]),
    ]
    assert [row.path for row in found.rpaths] == ["@loader_path"]
    assert found.build_version.minos == [14, 0, 0]


def test_lief_reads_the_pe_files():
    content = pe(
        ["c10.dll", "KERNEL32.dll"],
        name="torch_cpu.dll",
        exports=["b", "a"],
        delayed=["nvcuda.dll"],
    )
    found: Any = lief.PE.parse(io.BytesIO(content))
    assert found.header.machine == lief.PE.Header.MACHINE_TYPES.ARM64
    assert [row.name for row in found.imports] == ["c10.dll", "KERNEL32.dll"]
    assert [row.name for row in found.delay_imports] == ["nvcuda.dll"]
    assert found.get_export().name == "torch_cpu.dll"
    assert [row.name for row in found.get_export().entries] == ["a", "b"]
    assert lief.PE.Header.CHARACTERISTICS.DLL in found.header.characteristics_list


@pytest.mark.parametrize("subdir", platforms())
@pytest.mark.parametrize("project", ["torch", "torchvision", "torchaudio", "triton"])
def test_a_wheel_is_sound_and_every_binary_is_for_its_machine(subdir, project):
    wheel = release(subdir).wheel(project, "cp312")
    content = wheel.content()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        check_directory(
            archive.infolist(), archive_size=len(content), ratio=200, where=wheel.filename
        )
        names = set(archive.namelist())
        record = archive.read(f"{wheel.dist_info}/RECORD")
    assert names == {row.split(b",")[0].decode() for row in record.splitlines()}
    _, version, _, tags = parse_wheel_filename(wheel.filename)
    assert str(version) == wheel.version
    assert len(tags) == 1
    kinds = {"linux": lief.ELF, "osx": lief.MachO, "win": lief.PE}
    library = kinds[subdir.split("-")[0]]
    binaries = [c for c in wheel.members.values() if c[:2] in {b"\x7fE", b"\xcf\xfa", b"MZ"}]
    for each in binaries if project != "triton" else []:
        assert library.parse(io.BytesIO(each)) is not None
    assert project == "triton" or binaries


@pytest.mark.parametrize("subdir", platforms())
def test_the_same_options_give_the_same_bytes_on_another_day_and_hash_seed(subdir, tmp_path):
    for folder, seed in (("one", "1"), ("two", "2")):
        subprocess.run(
            [sys.executable, "-m", "tests.synthetic_wheels", "--subdir", subdir, "--out", folder],
            check=True,
            capture_output=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": seed},
        )
    sums = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert sums[0] == sums[1]
    assert len(sums[0]) == 9


def differing(subdir: str, *differs: str) -> set[str]:
    one, two = (
        release(subdir, differs=frozenset(differs)).wheel("torch", abi).contents()
        for abi in PYTHONS
    )
    return {name for name in one.keys() & two.keys() if one[name] != two[name]}


@pytest.mark.parametrize("subdir", platforms())
def test_pythons_differ_in_what_was_asked_for_and_nothing_else(subdir):
    plain = differing(subdir)
    assert {"torch-2.10.0.dist-info/WHEEL"} < plain
    assert all("torch_python" in name or "/_C." in name or "dist-info" in name for name in plain)
    extra = {"torch/lib/libc10.so"} if subdir.startswith("linux") else set()
    assert differing(subdir, "build-id") - plain == extra
    assert differing(subdir, "build-path") - plain == {"torch/share/cmake/ATen/ATenConfig.cmake"}
    (code,) = differing(subdir, "code") - plain
    assert "torch_cpu." in code


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_a_corruption_changes_what_it_says_and_keeps_the_rest(how):
    wheel = release("linux-aarch64").wheel("torch", "cp312")
    spoilt = corrupt(wheel, how)
    before, after = dict(wheel.members_in_order()), dict(spoilt.members_in_order())
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    record = "torch-2.10.0.dist-info/RECORD"
    library = "torch/lib/libtorch_cpu.so"
    assert changed == {
        "doubled-member": set(),
        "missing-record-row": {record},
        "other-bytes": {library},
        "case-clash": {"torch/__INIT__.PY", record},
        "thousands-of-headers": {"torch-2.10.0.dist-info/METADATA", record},
        "thousands-of-licences": after.keys() - before.keys() | {record},
    }.get(how, {library, record})


def test_broken_archives_are_refused_by_the_reader_of_wheels():
    wheel = release("osx-arm64").wheel("torch", "cp312")

    def checked(how: str) -> None:
        spoilt: TinyWheel = corrupt(wheel, how)
        content = spoilt.content()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
        check_directory(infos, archive_size=len(content), ratio=200, where="w")
        check_record(parse_record(spoilt.record_bytes(), "w"), infos, spoilt.dist_info, "w")

    with pytest.raises(UnsafeArchiveError, match="occurs twice"):
        checked("doubled-member")
    with pytest.raises(IntegrityError, match=r"libtorch_cpu\.dylib"):
        checked("missing-record-row")
    checked("other-machine")  # which only the audit can see
