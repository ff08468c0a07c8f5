"""`lint --binaries` on packages of a few files: siblings, trios, damage, policy rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.console import Silent
from generator.errors import AbsentError, IntegrityError, LinkageError
from generator.inspecting.binaries import BinaryLint, lint_binaries
from tests.conda_files import write_conda
from tests.unit.binaries import X86_64, elf

BUILD = "cpu_generic_habc_0"


def lint(*paths: Path) -> BinaryLint:
    return lint_binaries(paths, narrator=Silent())


def libtorch(folder: Path, **more: bytes) -> Path:
    files = {"lib/libc10.so": elf(soname="libc10.so", runpath="$ORIGIN")}
    files |= {f"lib/{name}.so": content for name, content in more.items()}
    return write_conda(folder, "libtorch", "2.10.0", BUILD, files=files)


def pytorch(folder: Path, python: str = "3.11") -> Path:
    tag = python.replace(".", "")
    lib = "site-packages/torch/lib"
    name = f"{lib}/libtorch_python.so"
    return write_conda(
        folder,
        "pytorch",
        "2.10.0",
        f"cpu_generic_py{tag}_habc_0",
        depends=[
            "libtorch ==2.10.0 cpu_generic_*_0",
            f"python_abi {python}.* *_cp{tag}",
        ],
        files={name: elf(["libc10.so"], soname="libtorch_python.so", runpath="$ORIGIN")},
        links={f"{lib}/libc10.so": "../../../../libc10.so"},
    )


def torchvision(folder: Path, content: bytes, python: str | None = "3.11") -> Path:
    depends = ["pytorch ==2.10.0 cpu_generic_*"]
    tag = "3" if python is None else python.replace(".", "")
    depends += [] if python is None else [f"python_abi {python}.* *_cp{tag}"]
    return write_conda(
        folder,
        "torchvision",
        "0.25.0",
        f"cpu_py{tag}_habc_0",
        depends=depends,
        files={"site-packages/torchvision/_C.so": content},
    )


def test_a_channel_is_audited_by_package_and_by_trio(tmp_path: Path) -> None:
    paths = [
        libtorch(tmp_path),
        pytorch(tmp_path),
        torchvision(tmp_path, elf(["libtorch_python.so"], rpath="$ORIGIN/../torch/lib")),
        write_conda(tmp_path, "cpuonly", "2.0", "0", subdir="noarch"),
    ]
    found = lint(*paths)
    assert [str(one) for _, one in found.errors] == []
    found.check()
    assert [trio.files for trio in found.trios] == [tuple(p.name for p in paths[:3])]
    assert found.skipped == ("cpuonly-2.0-0.conda",)


def test_what_a_package_depends_on_is_looked_for_beside_it(tmp_path: Path) -> None:
    wanted = torchvision(tmp_path, elf(["libtorch_python.so"], rpath="$ORIGIN/../torch/lib"))
    with pytest.raises(AbsentError, match="depends on pytorch"):
        lint(wanted)
    pytorch(tmp_path, "3.12")
    with pytest.raises(AbsentError, match="depends on pytorch"):
        lint(wanted)  # of another Python
    pytorch(tmp_path)
    with pytest.raises(AbsentError, match="depends on libtorch"):
        lint(wanted)
    libtorch(tmp_path)
    found = lint(wanted)
    assert [package.built.name for package in found.packages] == ["torchvision"]
    assert len(found.trios[0].files) == 3
    assert found.errors == ()


def test_each_python_has_its_trio(tmp_path: Path) -> None:
    libtorch(tmp_path)
    for python in ("3.11", "3.12"):
        pytorch(tmp_path, python)
    torchvision(tmp_path, elf(), python=None)
    found = lint(*tmp_path.glob("*/*.conda"))
    assert [len(trio.files) for trio in found.trios] == [3, 3]
    assert {trio.files[1].split("_")[2] for trio in found.trios} == {"py311", "py312"}


def test_an_error_names_package_file_and_fix(tmp_path: Path) -> None:
    paths = [
        libtorch(tmp_path, libx=elf(machine=X86_64)),
        pytorch(tmp_path),
        torchvision(tmp_path, elf(soname="libc10.so")),
    ]
    found = lint(*paths)
    errors = {(where, one.rule.id) for where, one in found.errors}
    assert (paths[0].name, "L-001") in errors
    assert (" + ".join(path.name for path in paths), "L-017") in errors
    with pytest.raises(LinkageError, match=r"2 open errors; the first is L-001 lib/libx\.so"):
        found.check()


@pytest.mark.parametrize("cut", [40, 0.5, 0.9])
def test_a_damaged_package_is_named(tmp_path: Path, cut: float) -> None:
    path = libtorch(tmp_path, libx=elf(body=bytes(range(256)) * 4000))
    content = path.read_bytes()
    path.write_bytes(content[: int(cut if cut > 1 else len(content) * cut)])
    with pytest.raises(IntegrityError, match="not a usable") as caught:
        lint(path)
    assert str(path) in caught.value.where


def test_a_flipped_byte_in_the_payload_is_named(tmp_path: Path) -> None:
    path = libtorch(tmp_path, libx=elf(body=bytes(range(256)) * 4000))
    content = bytearray(path.read_bytes())
    at = content.index(b"\x28\xb5\x2f\xfd") + 200  # inside the payload's first zstd frame
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="not a usable"):
        lint(path)


def test_a_package_for_another_platform_is_refused(tmp_path: Path) -> None:
    path = write_conda(tmp_path, "libtorch", "2.10.0", BUILD, subdir="linux-64")
    with pytest.raises(LinkageError, match="linux-64"):
        lint(path)
    with pytest.raises(AbsentError):
        lint(tmp_path / "nope.conda")
