"""`update` pairs by symbols: what METADATA promises and the libraries do not keep is held (D14)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generator.feedstock import TrainPolicy
from generator.model import Cell
from generator.updating import Outcome
from generator.updating.pairing_judge import PairingJudge
from tests.index_server import IndexServer
from tests.integration.updating import feedstock, opened, reader_of, run_update
from tests.synthetic_wheels.elf import elf
from tests.tiny_wheels import TinyWheel, tiny_companion, tiny_torch

pytestmark = pytest.mark.integration
OLD, NEW = "aoti_torch_empty", "torch_new_stable_ivalue"
LIBRARY = "torchaudio/lib/libtorchaudio.so"
CPU = "torch/lib/libtorch_cpu.so"


def torch(version: str, abi: str, *defines: str, content: bytes = b"") -> TinyWheel:
    found = content or elf(defines=defines, sections=True, gnu_hash=True, body=b"cpu" * 5000)
    return tiny_torch(version, abi, extra={CPU: found})


def audio(version: str, abi: str, *asks: str, torch: str | None = "torch>=2.11", content=b""):
    found = content or elf(["libtorch_cpu.so", "libc.so.6"], asks=dict.fromkeys(asks, ""))
    return tiny_companion("torchaudio", version, abi, torch=torch, extra={LIBRARY: found})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A torchaudio as 2.11.1: METADATA says torch>=2.11, its symbols came with torch 2.13."""
    folder = tmp_path / "wheels"
    for abi in ("cp311", "cp312"):
        torch("2.12.1", abi, OLD).write(folder)
        torch("2.13.0", abi, OLD, NEW).write(folder)
        audio("2.20.0", abi, OLD).write(folder)
        audio("2.20.1", abi, OLD, NEW).write(folder)
    return folder


def outcome(folder: Path, tmp_path: Path, **more) -> Outcome:
    asked = replace(feedstock(), trains={"stable": TrainPolicy(minors=3)})
    with IndexServer(folder) as server, opened(tmp_path) as web:
        judge = PairingJudge(reader_of(web, tmp_path))
        return run_update(server, tmp_path, asked=asked, judges=[judge], **more)


def audios(found: Outcome) -> dict[str, str]:
    return {cell.torch: cell.trio.get("torchaudio", "") for cell in found.lock.cells}


def held(cell: Cell) -> list[tuple[str, str, str]]:
    return [(row.project, row.version, row.kind) for row in cell.held]


def test_a_companion_is_taken_from_the_torch_on_that_has_its_symbols(
    folder: Path, tmp_path: Path
) -> None:
    found = outcome(folder, tmp_path)
    assert audios(found) == {"2.13.0": "2.20.1", "2.12.1": "2.20.0"}
    by_torch = {cell.torch: cell for cell in found.lock.cells}
    assert held(by_torch["2.13.0"]) == []
    (row,) = by_torch["2.12.1"].held
    assert (row.project, row.version, row.kind, row.instead) == (
        "torchaudio",
        "2.20.1",
        "symbols",
        "2.20.0",
    )
    assert row.detail == f"libtorchaudio.so needs {NEW}, which torch 2.12.1 does not have"
    assert row.python is None
    # nothing of it is read again
    assert outcome(folder, tmp_path, old=found.lock).traffic.wheels.total() == 0


def test_one_wheel_that_lacks_something_costs_its_python(folder: Path, tmp_path: Path) -> None:
    audio("2.20.2", "cp311", OLD, NEW).write(folder)
    audio("2.20.2", "cp312", OLD, NEW, "torch_of_the_future").write(folder)
    found = outcome(folder, tmp_path)
    (row, *_) = next(cell for cell in found.lock.cells if cell.torch == "2.13.0").held
    assert (row.version, str(row.python), row.kind) == ("2.20.2", "3.12", "symbols")


def test_symbols_that_cannot_be_read_are_held_too(folder: Path, tmp_path: Path) -> None:
    broken = elf(["libtorch_cpu.so"], asks={OLD: ""})[:-40]
    for abi in ("cp311", "cp312"):
        audio("2.20.2", abi, content=broken).write(folder)
    found = outcome(folder, tmp_path)
    assert audios(found) == {"2.13.0": "2.20.1", "2.12.1": "2.20.0"}
    assert {
        kind for cell in found.lock.cells for _, version, kind in held(cell) if version == "2.20.2"
    } == {"malformed"}


def test_a_torch_whose_symbols_cannot_be_read_gets_no_companion_that_needs_them(
    folder: Path, tmp_path: Path
) -> None:
    content = elf(defines=[OLD, NEW])[:-40]
    for abi in ("cp311", "cp312"):
        torch("2.13.0", abi, content=content).write(folder)
    found = outcome(folder, tmp_path)
    assert audios(found) == {"2.13.0": "", "2.12.1": "2.20.0"}
    cell = next(cell for cell in found.lock.cells if cell.torch == "2.13.0")
    assert all("libtorch_cpu.so: its headers are corrupt" in row.detail for row in cell.held)


def test_what_goes_with_any_build_asks_for_no_symbol_of_one_build(
    folder: Path, tmp_path: Path
) -> None:
    bound = "_ZN2at5emptyEv"
    for abi in ("cp311", "cp312"):
        torch("2.13.0", abi, OLD, NEW, bound).write(folder)
        audio("2.20.2", abi, OLD, bound).write(folder)
    found = outcome(folder, tmp_path)
    assert audios(found)["2.13.0"] == "2.20.1"
    (row,) = next(cell for cell in found.lock.cells if cell.torch == "2.13.0").held
    assert (row.version, row.kind) == ("2.20.2", "symbols")
    assert row.detail.startswith(f"libtorchaudio.so needs {bound}, which is of no stable ABI")
