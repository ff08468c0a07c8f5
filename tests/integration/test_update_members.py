"""What a wheel's members say against it before it is locked: patch targets, layout, libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from generator.model import Cell, Held
from generator.updating.member_judge import MemberJudge
from generator.upstream.policy import trio_policy
from tests.index_server import IndexServer
from tests.integration.updating import feedstock, run_update
from tests.locks import torch_wheel
from tests.tiny_wheels import tiny_companion

pytestmark = pytest.mark.integration
CUDA = "cuda-toolkit[cudart]==13.2.2"
CHECK = "torchaudio/_extension/utils.py"
TEXT = """def _check_cuda_version():
    if version is not None:
        if {}:
            raise RuntimeError("Detected different CUDA versions")
    return version
"""
SAME, MENDED = TEXT.format("ta_version != t_version"), TEXT.format("ta_major != t_major")
REWRITTEN = TEXT.format("(ta_major, ta_minor) != (t_major, t_minor)")


def served(
    folder: Path,
    audios: Mapping[str, Mapping[str, str | bytes]],
    torch: Mapping[str, bytes] | None = None,
) -> tuple[Cell, ...]:
    """Update from torch 2.15.0 and torchaudios with these members more."""
    shelf = folder / "wheels"
    for abi in ("cp311", "cp312"):
        wheel = torch_wheel("2.15.0", abi, requires=("filelock", CUDA), extra=torch)
        wheel.write(shelf)
        for version, members in audios.items():
            tiny = tiny_companion("torchaudio", version, abi, torch=None)
            more = {
                path: text if isinstance(text, bytes) else text.encode()
                for path, text in members.items()
            }
            replace(tiny, members={**tiny.members, **more}).write(shelf)
    rows = tuple(
        replace(row, versions=">=2.11")
        for row in trio_policy().companions
        if row.project == "torchaudio"
    )
    with IndexServer(shelf) as server:
        found = run_update(
            server,
            folder,
            asked=feedstock(packages=("torch", "torchaudio")),
            trios=replace(trio_policy(), companions=rows),
            judge=lambda reader: MemberJudge(reader=reader),
        )
    return found.lock.cells


def held(folder: Path, **audios: Mapping[str, str | bytes]) -> tuple[str, tuple[Held, ...]]:
    """Return which torchaudio is taken, and what is held."""
    versions = {name.strip("v").replace("_", "."): each for name, each in audios.items()}
    (cell,) = served(folder, versions)
    return cell.trio.get("torchaudio", ""), cell.held


def test_a_patch_that_fits_or_is_needed_no_more_holds_nothing(tmp_path: Path) -> None:
    assert held(tmp_path / "a", v2_11_0={CHECK: SAME}) == ("2.11.0", ())
    assert held(tmp_path / "b", v2_11_0={CHECK: SAME}, v2_11_1={CHECK: MENDED}) == ("2.11.1", ())
    assert held(tmp_path / "c", v2_12_0={CHECK: SAME}) == ("2.12.0", ())


@pytest.mark.parametrize(("text", "places"), [(REWRITTEN, 0), (SAME * 2, 2)])
def test_a_patch_that_is_needed_and_does_not_fit_holds_the_release(
    tmp_path: Path, text: str, places: int
) -> None:
    version, (row,) = held(tmp_path, v2_11_0={CHECK: SAME}, v2_12_0={CHECK: text})
    assert version == "2.11.0"
    assert (row.project, row.version, row.kind, row.instead) == (
        "torchaudio",
        "2.12.0",
        "patch",
        "2.11.0",
    )
    assert row.python is None
    assert f"{CHECK} has {places} places to patch" in row.detail


def test_a_required_member_that_is_gone_holds_the_release(tmp_path: Path) -> None:
    version, (row,) = held(tmp_path, v2_11_0={CHECK: SAME}, v2_12_0={"torchaudio/new.py": MENDED})
    assert (version, row.kind) == ("2.11.0", "layout")
    assert CHECK in row.detail


def test_a_copy_of_torchs_own_library_holds_the_release(tmp_path: Path) -> None:
    copy: dict[str, str | bytes] = {CHECK: SAME, "torchaudio.libs/libc10.1a2b3c4d.so": b"c10"}
    version, (row,) = held(tmp_path / "a", v2_11_0={CHECK: SAME}, v2_12_0=copy)
    assert (version, row.kind) == ("2.11.0", "soname")
    assert "torchaudio.libs/libc10.1a2b3c4d.so, which torch has" in row.detail
    # one that nobody has seen stays bundled, and holds nothing
    other: dict[str, str | bytes] = {CHECK: SAME, "torchaudio.libs/libnew.1a2b3c4d.so.4": b"new"}
    assert held(tmp_path / "b", v2_12_0=other) == ("2.12.0", ())


def test_the_lock_says_what_the_wheels_have_for_others_to_load(tmp_path: Path) -> None:
    copies: dict[str, str | bytes] = {
        CHECK: SAME,
        "torchaudio.libs/libgomp-1a2b3c4d.so.1.0.0": b"gomp",
    }
    (cell,) = served(tmp_path, {"2.11.0": copies})
    assert "torchaudio.libs/libgomp-1a2b3c4d.so.1.0.0" in cell.bundled["torchaudio"]
    assert "torch/lib/libgomp.so.1" in cell.bundled["torch"]
    assert not any("_C.cpython" in member for member in cell.bundled["torch"])
