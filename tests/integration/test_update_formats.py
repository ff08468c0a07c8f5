"""Every index format from a local server with its traps: which wheels become which cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generator.lock import lock_text
from generator.model import Cell, Lock
from tests.index_formats import KEEP_THRESHOLD
from tests.integration.index_worlds import World, trio, world
from tests.synthetic_wheels import TinyWheel
from tests.tiny_wheels import tiny_companion, tiny_torch

pytestmark = pytest.mark.integration

STABLE = """\
indexes:
  torch-cpu: {kind: pytorch, url: "{root}/whl/cpu"}
  torch-cu130: {kind: pytorch, url: "{root}/whl/cu130"}
trains:
  stable: {keep: [newest], indexes: [torch-cpu, torch-cu130]}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda130]}
  osx-arm64: {accelerators: [cpu]}
"""
NIGHTLY = """\
indexes:
  nightly-cpu: {kind: pytorch, url: "{root}/whl/nightly/cpu"}
trains:
  nightly: {keep: [newest], indexes: [nightly-cpu]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
"""
JETSON = """\
indexes:
  pypi: {kind: pip}
  jp6-cu126: {kind: devpi, url: "{root}/jp6/cu126", accelerator: cuda-tegra}
  jp6-cu128: {kind: devpi, url: "{root}/jp6/cu128/+simple/", accelerator: cuda128-tegra}
trains:
  stable: {keep: [newest], indexes: [pypi, jp6-cu126, jp6-cu128]}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda126-tegra, cuda128-tegra]}
"""
WINDOWS = """\
indexes:
  torch-cpu: {kind: pytorch, url: "{root}/whl/cpu"}
  nvidia: {kind: simple, url: "{root}/nvtorch_oot"}
trains:
  stable: {keep: [newest], indexes: [torch-cpu, nvidia]}
subdirs:
  win-arm64: {accelerators: [cpu, cuda]}
"""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def cells(lock: Lock) -> dict[str, Cell]:
    return {cell.name: cell for cell in lock.cells}


def files(cell: Cell) -> dict[str, str]:
    return {wheel.filename: wheel.index for wheel in cell.wheels}


def quiet(wheel: TinyWheel) -> TinyWheel:
    """As on Jetson: CUDA is expected on the board, and nothing of it is declared."""
    kept = [r for r in wheel.requires if not r.startswith(("cuda", "nvidia", "triton"))]
    return replace(wheel, requires=kept)


def stable(upstream: World) -> None:
    """What whl/cpu and whl/cu130 had of 2.15, and what lies in whl/ since years."""
    upstream.put("whl/cpu", *trio("2.15.0", "0.29.2", "2.11.0", label="cpu"))
    upstream.put("whl/cpu", *trio("2.15.0", "0.29.2", "2.11.0", subdir="osx-arm64"))
    cuda = trio("2.15.0", "0.29.2", "2.11.0", label="cu130", accelerator="cuda130")
    upstream.put("whl/cu130", *cuda)
    # higher versions than the true ones, so that nothing but the local version tells them
    upstream.put("whl", *trio("2.98.0", "0.98.0", "2.98.0", tag="manylinux2014_aarch64"))


def test_download_pytorch_org_is_read_by_local_versions(upstream: World) -> None:
    stable(upstream)
    outcome = upstream.update(STABLE)
    assert outcome.findings == ()
    found = cells(outcome.lock)
    assert {name: dict(cell.trio) for name, cell in found.items()} == {
        f"2.15/{place}": {"torch": "2.15.0", "torchvision": "0.29.2", "torchaudio": "2.11.0"}
        for place in ("linux-aarch64/cpu", "linux-aarch64/cuda130", "osx-arm64/cpu")
    }
    arm = "cp312-cp312-manylinux_2_28_aarch64.whl"
    for accelerator, label in (("cpu", "cpu"), ("cuda130", "cu130")):
        assert files(found[f"2.15/linux-aarch64/{accelerator}"]) == {
            f"{name}+{label}-{arm}": f"torch-{label}"
            for name in ("torch-2.15.0", "torchvision-0.29.2", "torchaudio-2.11.0")
        }
    assert set(files(found["2.15/osx-arm64/cpu"]).values()) == {"torch-cpu"}
    wheels = [wheel for cell in outcome.lock.cells for wheel in cell.wheels]
    assert {wheel.hash_origin for wheel in wheels} == {"index"}
    assert "%2Bcu130" in found["2.15/linux-aarch64/cuda130"].wheels[0].purl
    # the pages' host has no file, and the files' host was asked by range only
    assert not [path for path in upstream.pages.requests if path.endswith(".whl")]
    assert {code for path, code in upstream.files.log if path.endswith(".whl")} <= {206}
    assert "98.0" not in lock_text(outcome.lock)


def test_a_second_look_at_html_pages_costs_no_body(upstream: World) -> None:
    stable(upstream)
    first = upstream.update(STABLE).lock
    upstream.pages.forget()
    upstream.files.forget()
    again = upstream.update(STABLE, first)
    assert lock_text(again.lock) == lock_text(first)
    assert again.traffic.bytes == 0
    assert {code for _, code in upstream.pages.log} == {304}
    assert upstream.files.log == []


def test_metadata_beside_a_wheel_is_read_instead_of_it(upstream: World) -> None:
    stable(upstream)
    for version in ("2.13.0", "2.14.0"):  # passed over, for which METADATA is enough
        upstream.put("whl/cu130", tiny_torch(f"{version}+cu130", "cp312"))
    upstream.update(STABLE)
    metadata = [p for p in upstream.files.requests if p.endswith(".whl.metadata")]
    assert len(metadata) >= 6
    old = [p for p in upstream.files.requests if "2.13.0" in p or "2.14.0" in p]
    assert not [path for path in old if path.endswith(".whl")]


def test_the_files_host_may_change_overnight(upstream: World) -> None:
    stable(upstream)
    first = upstream.update(STABLE).lock
    upstream.pytorch.files = ""  # the pages' own host, as on 6 July 2026
    outcome = upstream.update(STABLE, first)
    assert lock_text(outcome.lock) == lock_text(first)


def test_minors_keeps_the_newest_patch_of_each(upstream: World) -> None:
    for torch, vision in (("2.15.0", "0.29.2"), ("2.14.1", "0.29.1"), ("2.14.0", "0.29.0"),
                          ("2.13.0", "0.28.0"), ("2.12.1", "0.27.1")):  # fmt: skip
        upstream.put("whl/cpu", *trio(torch, vision, "2.11.0", label="cpu"))
    asked = STABLE.replace("[newest]", "[newest], minors: 3").replace(", cuda130", "")
    lock = upstream.update(asked).lock
    arm = {cell.line: cell.torch for cell in lock.cells if cell.subdir == "linux-aarch64"}
    assert arm == {"2.15": "2.15.0", "2.14": "2.14.1", "2.13": "2.13.0"}


def test_priority_decides_between_indexes_and_the_cell_says_which(upstream: World) -> None:
    stable(upstream)
    upstream.put("whl/cu132", *trio("2.15.0", "0.29.2", "2.11.0", label="cu132",
                                    accelerator="cuda132"))  # fmt: skip
    asked = STABLE.replace(
        "trains:", '  torch-cu132: {kind: pytorch, url: "{root}/whl/cu132"}\ntrains:'
    ).replace("cuda130]", "cuda]")
    for order, line in (("cu130, torch-cu132", "cuda130"), ("cu132, torch-cu130", "cuda132")):
        text = asked.replace("torch-cpu, torch-cu130]", f"torch-cpu, torch-{order}]")
        found = cells(upstream.update(text).lock)
        cuda = found[f"2.15/linux-aarch64/{line}"]
        assert set(files(cuda).values()) == {f"torch-cu{line[4:]}"}


def test_a_cuda_wheel_on_the_cpu_index_is_named_and_left_out(upstream: World) -> None:
    stable(upstream)
    requires = ['cuda-toolkit[cudart]==13.0.3; platform_system == "Linux"']
    upstream.put("whl/cpu", tiny_torch("2.16.0+cpu", "cp312", requires=requires))
    outcome = upstream.update(STABLE)
    assert cells(outcome.lock)["2.15/linux-aarch64/cpu"].torch == "2.15.0"
    assert outcome.findings == ()
    (row,) = outcome.lock.held
    assert (row.place, row.version, row.kind, row.instead, row.detail) == (
        "stable/linux-aarch64/cpu",
        "2.16.0",
        "malformed",
        "2.15.0",
        "it is a cuda130 build, and its name and index say cpu",
    )
    # and one whose METADATA is silent, too: its libraries tell
    bundled = {"torch/lib/libtorch_cuda.so": b"x", "torch/version.py": b"cuda = '12.6'\n"}
    upstream.put("whl/cpu", tiny_torch("2.17.0+cpu", "cp312", extra=bundled))
    outcome = upstream.update(STABLE, outcome.lock)
    assert "it is a cuda126 build, and its name and index say cpu" in {
        row.detail for row in outcome.lock.held
    }
    assert cells(outcome.lock)["2.15/linux-aarch64/cpu"].torch == "2.15.0"  # as the lock knew it


def test_the_nightly_index_lists_sixty_and_keep_takes_some(upstream: World) -> None:
    days = [f"2.16.0.dev2026{month:02}{day:02}" for month in (9, 10, 11) for day in range(1, 25)]
    assert len(days) > KEEP_THRESHOLD
    for day in days:
        upstream.put("whl/nightly/cpu", tiny_torch(f"{day}+cpu", "cp312"))
    outcome = upstream.update(NIGHTLY.replace("[newest]", "[newest], releases: 3"))
    assert outcome.findings == ()
    lock = outcome.lock
    assert {cell.line: cell.torch for cell in lock.cells} == {
        "nightly": days[-1],
        f"nightly-{days[-2]}": days[-2],
        f"nightly-{days[-3]}": days[-3],
    }
    fetched = Counter(
        path for path, code in upstream.files.log if code == 200 and path.endswith(".whl")
    )
    assert len(fetched) == 3  # 57 others are passed over by METADATA alone


def test_jetson_wheels_tell_their_cuda_themselves(upstream: World) -> None:
    upstream.put("pypi", *trio("2.8.0", "0.23.0", "2.8.0"))
    for cuda in ("cuda126", "cuda128"):
        wheels = trio("2.8.0", "0.23.0", "2.8.0", accelerator=cuda, tag="linux_aarch64")
        upstream.put(f"jp6/cu{cuda[4:]}", *map(quiet, wheels))
    outcome = upstream.update(JETSON)
    assert outcome.findings == ()
    found = cells(outcome.lock)
    assert set(found) == {
        f"2.8/linux-aarch64/{name}" for name in ("cpu", "cuda126-tegra", "cuda128-tegra")
    }
    names = {name: set(files(cell)) for name, cell in found.items()}
    one, two = (names[f"2.8/linux-aarch64/{n}"] for n in ("cuda126-tegra", "cuda128-tegra"))
    assert one == two  # the same names, other wheels
    assert "torch-2.8.0-cp312-cp312-linux_aarch64.whl" in one
    hashes = {wheel.sha256 for cell in found.values() for wheel in cell.wheels_of("torch")}
    assert len(hashes) == 3
    assert set(files(found["2.8/linux-aarch64/cpu"]).values()) == {"pypi"}
    assert set(files(found["2.8/linux-aarch64/cuda126-tegra"]).values()) == {"jp6-cu126"}


def test_a_jetson_wheel_of_another_cuda_than_its_index_is_named(upstream: World) -> None:
    wheels = trio("2.8.0", "0.23.0", "2.8.0", accelerator="cuda126", tag="linux_aarch64")
    upstream.put("jp6/cu128", *wheels)
    outcome = upstream.update(JETSON)
    assert outcome.lock.cells == ()
    (row,) = outcome.lock.held
    assert (row.accelerator, row.kind, row.detail) == (
        "cuda128-tegra",
        "malformed",
        "it is a cuda126-tegra build, and its name and index say cuda128-tegra",
    )
    reasons = {a.accelerator: a.reason for a in outcome.lock.absent}
    assert reasons["cuda126-tegra"] == "absent"


def test_windows_cuda_comes_from_nvidias_index(upstream: World) -> None:
    upstream.put("whl/cpu", *trio("2.14.0", "0.29.0", "2.11.0", label="cpu", subdir="win-arm64"))
    cuda = trio("2.14.0", "0.29.0", "2.11.0", label="cu134", subdir="win-arm64",
                accelerator="cuda134")  # fmt: skip
    upstream.put("nvtorch_oot", *cuda)
    outcome = upstream.update(WINDOWS)
    assert outcome.findings == ()
    found = cells(outcome.lock)
    assert {name: set(files(cell).values()) for name, cell in found.items()} == {
        "2.14/win-arm64/cpu": {"torch-cpu"},
        "2.14/win-arm64/cuda134": {"nvidia"},
    }


def test_a_local_version_that_names_no_accelerator_is_an_absence_with_a_way_out(
    upstream: World,
) -> None:
    torch, _, audio = trio("2.12.1", "0.27.1", "2.11.0", label="cpu", subdir="win-arm64")
    odd = tiny_companion("torchvision", "0.27.1+df56172", "cp312", torch="torch==2.12.1",
                         platform="win_arm64")  # fmt: skip
    upstream.put("whl/cpu", torch, audio, odd)
    (cell,) = upstream.update(WINDOWS).lock.cells
    assert "torchvision" not in cell.trio
    (absence,) = [a for a in cell.absent if a.package == "torchvision"]
    assert odd.filename in absence.detail
    assert "+df56172" in absence.detail
    listed = WINDOWS.replace('whl/cpu"}', 'whl/cpu", local_versions: [cpu, df56172]}')
    (cell,) = upstream.update(listed).lock.cells
    assert cell.trio["torchvision"] == "0.27.1"
    assert odd.filename in files(cell)
