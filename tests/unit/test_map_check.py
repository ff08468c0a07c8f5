"""`map check` on wheels of a few libraries."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from generator import datafiles
from generator.console import Silent
from generator.errors import AbsentError, DataError, IntegrityError, SelectionError
from generator.inspecting.imports import unsaid
from generator.inspecting.mapping import MapCheck, check_map, locked_sources, named_source
from generator.model import Lock
from generator.naming import soname_table
from tests.conftest import ROOT
from tests.unit.binaries import elf, pe

ARM = "torch-2.16.0-cp312-cp312-manylinux_2_28_aarch64.whl"
WIN = "torch-2.16.0-cp313-cp313-win_arm64.whl"


def check(folder: Path, files: dict[str, bytes], name: str = ARM) -> MapCheck:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return check_map(
        [named_source(path)], lock=Lock(), not_looked_at=(), whole=False, narrator=Silent()
    )


def test_what_the_map_knows_is_not_reported(tmp_path: Path) -> None:
    found = check(
        tmp_path,
        {
            "torch/lib/libtorch_cpu.so": elf(
                ["libc10.so", "libgomp.so.1", "libc.so.6", "libopenblas-12345678.so.0"]
            ),
            "torch/lib/libc10.so": elf(soname="libc10.so"),
            "torch/lib/libopenblas-12345678.so.0": elf(soname="libopenblas.so.0"),
            "torch/_C.cpython-312-aarch64-linux-gnu.so": elf(["libtorch_python.so"]),
            "torch/lib/readme.txt": b"no binary",
        },
    )
    assert found.unknown == ()
    assert [row.name for row in found.inferred] == ["libopenblas.so.0"]
    assert found.looked_at == (ARM,)


def test_an_unknown_need_comes_with_a_row_that_a_person_must_finish(tmp_path: Path) -> None:
    (need,) = check(tmp_path, {"torch/lib/libtorch.so": elf(["libnew.so.3"])}).unknown
    assert (need.kind, need.name, need.subdir) == ("needed", "libnew.so.3", "linux-aarch64")
    assert need.releases == ("torch 2.16.0",)
    with pytest.raises(DataError, match=r"libnew\.so\.3: spec goes with the action unvendor"):
        load_with(need.row, tmp_path)
    load_with(need.row.replace("spec:", "spec: libnew >=3,<4"), tmp_path)


def test_an_unknown_bundled_library_comes_with_a_row_that_loads(tmp_path: Path) -> None:
    found = check(
        tmp_path,
        {
            "torch.libs/libnew-1a2b3c4d.so.3.1": elf(soname="libnew.so.3"),
            "torch/lib/libtorch_new.so": elf(["libc10.so"], soname="libtorch_new.so"),
        },
    )
    bundled, own = found.unknown
    assert (bundled.kind, bundled.name) == ("bundled", "libnew.so.3")
    (row,) = YAML(typ="safe").load(bundled.row)
    assert row["action"] == "keep"
    assert YAML(typ="safe").load(own.row)[0]["action"] == "in-package"
    load_with(bundled.row + own.row, tmp_path)


def load_with(rows: str, folder: Path) -> None:
    """Load sonames.yaml with rows pasted into it."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for path in (ROOT / "generator/data").glob("*.yaml"):
        (data / path.name).write_bytes(path.read_bytes())
    table = data / "sonames.yaml"
    table.write_text(table.read_text().replace("\nneeds:\n", f"\n{rows}\nneeds:\n", 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datafiles, "DATA", data)
        soname_table._tables.cache_clear()
        try:
            soname_table.sonames("linux-aarch64")
        finally:
            patch.undo()
            soname_table._tables.cache_clear()


def test_dlls_are_known_in_any_case(tmp_path: Path) -> None:
    found = check(
        tmp_path,
        {
            "torch/lib/torch_cpu.dll": pe(["KERNEL32.dll", "C10.dll", "New.dll"]),
            "torch/lib/c10.dll": pe(["api-ms-win-crt-math-l1-1-0.dll", "VCRUNTIME140.dll"]),
            "torch/_C.cp313-win_arm64.pyd": pe(["python313.dll", "torch_cpu.dll"]),
        },
        WIN,
    )
    assert [(one.kind, one.name) for one in found.unknown] == [("needed", "New.dll")]
    assert "- name: new.dll" in found.unknown[0].row


def test_optional_libraries_that_the_policy_accepts_are_no_gap(tmp_path: Path) -> None:
    files = {"torio/lib/_torio_ffmpeg6.so": elf(["libavutil.so.58", "libavnew.so.1"])}
    assert [one.name for one in check(tmp_path, files).unknown] == ["libavnew.so.1"]


def test_what_a_library_needs_that_no_package_has_is_no_gap(tmp_path: Path) -> None:
    files = {
        "bitsandbytes/libbitsandbytes_cuda118.so": elf(["libcublas.so.11"]),
        "bitsandbytes/libbitsandbytes_cuda130.so": elf(["libnew.so.13"]),
    }
    name = "bitsandbytes-0.50.2-py3-none-manylinux_2_24_aarch64.whl"
    assert [one.name for one in check(tmp_path, files, name).unknown] == ["libnew.so.13"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("torch-2.16.0.whl", SelectionError),
        ("torch-2.16.0-cp312-cp312-manylinux_2_28_x86_64.whl", SelectionError),
        (ARM, AbsentError),
    ],
)
def test_a_file_that_is_no_wheel_of_ours_is_refused(tmp_path: Path, name: str, error) -> None:
    with pytest.raises(error):
        check_map(
            [named_source(tmp_path / name)],
            lock=Lock(),
            not_looked_at=(),
            whole=False,
            narrator=Silent(),
        )


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    (tmp_path / ARM).write_bytes(b"PK\3\4 and no more")
    with pytest.raises(IntegrityError, match="not a usable wheel"):
        check_map(
            [named_source(tmp_path / ARM)],
            lock=Lock(),
            not_looked_at=(),
            whole=False,
            narrator=Silent(),
        )


def test_releases_without_a_wheel_are_checked_by_name(project, tmp_path: Path) -> None:
    lock = project.locked()
    sources, absent = locked_sources(lock, tmp_path)
    assert sources == ()
    assert len(absent) == sum(len(cell.versions) for cell in lock.cells)
    found = check_map((), lock=lock, not_looked_at=absent, whole=True, narrator=Silent())
    assert found.unknown == ()
    assert found.unused == ()  # nothing can be said of them


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import frobnicate", ["frobnicate"]),
        ("from frobnicate.deep import x", ["frobnicate"]),
        ("class A:\n    import frobnicate", ["frobnicate"]),
        ("try:\n    import frobnicate\nfinally:\n    pass", ["frobnicate"]),
        ("try:\n    import json\nexcept ImportError:\n    import frobnicate", []),
        ("try:\n    import frobnicate\nexcept (KeyError, ImportError):\n    pass", []),
        ("def f():\n    import frobnicate", []),
        ("if TYPE_CHECKING:\n    import frobnicate", []),
        ("import sys\nif sys.version_info < (3, 10):\n    import frobnicate", []),
        ("import sys\nif sys.version_info >= (3, 10):\n    import frobnicate", ["frobnicate"]),
        ("import json, torch, jinja2, numpy, yaml", ["jinja2"]),
        ("import distutils.core", ["distutils"]),
        ("from . import frobnicate", []),
        ("print 'template'", []),
    ],
)
def test_what_is_imported_and_not_asked_for(tmp_path: Path, source: str, found: list[str]) -> None:
    path = tmp_path / ARM
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("torch/some.py", source)
        archive.writestr(
            "torch-2.16.0.dist-info/METADATA", "Name: torch\nRequires-Dist: sympy>=1\n"
        )
    assert list(unsaid(named_source(path))) == found


def test_an_import_of_an_old_python_alone_is_found_in_its_wheel(tmp_path: Path) -> None:
    source = "import sys\nif sys.version_info < (3, 10):\n    from importlib_metadata import x"
    for version, abi, found in (
        ("2.8.0", 39, []),
        ("2.7.0", 39, ["importlib_metadata"]),
        ("2.7.0", 311, []),
    ):
        path = tmp_path / f"torch-{version}-cp{abi}-cp{abi}-manylinux_2_28_aarch64.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("torch/distributed/elastic.py", source)
        assert list(unsaid(named_source(path))) == found
