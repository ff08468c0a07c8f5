"""What something speaks against is held back alone: the next older release, or none, is served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generator.lock import announce, diff_locks, lock_text, parse_lock
from generator.matrix import matrix_json, matrix_view
from generator.model import Cell, Finding, Lock, PythonBuild
from generator.updating import Judge, Outcome, Prospect
from generator.updating.recipe_judge import proven
from tests.index_server import Behaviour, IndexServer
from tests.integration.updating import TODAY, feedstock, run_update, upstream_of_2026
from tests.tiny_wheels import tiny_companion, tiny_torch

pytestmark = pytest.mark.integration
CPU = "2.10/linux-aarch64/cpu"
CUDA = "2.15/linux-aarch64/cuda132"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    upstream_of_2026(folder)
    for abi in ("cp311", "cp312", "cp313t"):
        tiny_companion("torchvision", "0.25.1", abi, torch="torch==2.10.0").write(folder)
        tiny_companion("torchaudio", "2.10.1", abi, torch="torch==2.10.0").write(folder)
    tiny_torch("2.9.0", "cp312").write(folder)
    tiny_companion("torchvision", "0.24.0", "cp312", torch="torch==2.9.0").write(folder)
    tiny_companion("torchaudio", "2.9.0", "cp312", torch="torch==2.9.0").write(folder)
    return folder


def against(project: str, version: str, *pythons: str) -> Judge:
    """A judge who has something against one release, or its wheels for some Pythons."""
    named: list[PythonBuild | None] = [PythonBuild.parse(text) for text in pythons]

    def judge(prospect: Prospect) -> tuple[Finding, ...]:
        if (prospect.project, prospect.release.version.public) != (project, version):
            return ()
        return tuple(
            Finding(kind="symbols", detail="x is lacking", next_step="wait", python=python)
            for python in named or [None]
            if python in {None, *prospect.wheels}
        )

    return judge


def outcome(folder: Path, tmp_path: Path, *judges: Judge, old: Lock | None = None) -> Outcome:
    with IndexServer(folder) as server:
        return run_update(server, tmp_path, old=old, judges=judges)


def cell(lock: Lock, name: str) -> Cell:
    return next(cell for cell in lock.cells if cell.name == name)


def rows(found: Cell) -> list[tuple[str, ...]]:
    return [(h.project, h.version, str(h.python or ""), h.instead) for h in found.held]


def test_the_next_older_companion_that_goes_with_this_torch_is_taken(
    folder: Path, tmp_path: Path
) -> None:
    found = outcome(folder, tmp_path, against("torchvision", "0.25.1"))
    assert found.findings == ()
    assert cell(found.lock, CPU).trio["torchvision"] == "0.25.0"
    assert rows(cell(found.lock, CPU)) == [("torchvision", "0.25.1", "", "0.25.0")]
    assert {c.name for c in found.lock.cells if c.held} == {CPU}


def test_a_wheel_for_one_python_is_left_out_where_no_older_release_serves_more(
    folder: Path, tmp_path: Path
) -> None:
    judges = against("torchvision", "0.25.1", "3.12"), against("torchvision", "0.25.0")
    found = cell(outcome(folder, tmp_path, *judges).lock, CPU)
    assert found.trio["torchvision"] == "0.25.1"
    assert rows(found) == [("torchvision", "0.25.1", "3.12", "")]
    served = {str(w.python) for w in found.wheels_of("torchvision")}
    assert served == {"3.11", "3.13t"}
    assert not [a for a in found.absent if a.package == "torchvision"]


def test_an_older_release_that_serves_more_pythons_is_taken_before_half_a_newer_one(
    folder: Path, tmp_path: Path
) -> None:
    judge = against("torchaudio", "2.10.1", "3.11", "3.12")
    found = cell(outcome(folder, tmp_path, judge).lock, CPU)
    assert found.trio["torchaudio"] == "2.10.0"
    assert rows(found) == [
        ("torchaudio", "2.10.1", "3.11", "2.10.0"),
        ("torchaudio", "2.10.1", "3.12", "2.10.0"),
    ]


def test_a_package_that_no_release_can_serve_is_left_out_with_the_newest_reason(
    folder: Path, tmp_path: Path
) -> None:
    judges = [against("torchvision", version) for version in ("0.25.0", "0.25.1", "0.29.2")]
    lock = outcome(folder, tmp_path, *judges).lock
    found = {c.name: c for c in lock.cells}
    assert "torchvision" not in found[CPU].trio
    assert rows(found[CPU]) == [("torchvision", "0.25.1", "", "")]
    assert "torchvision" not in found[CUDA].trio
    assert rows(found[CUDA]) == [("torchvision", "0.29.2", "", "")]
    # and what is complete is kept beside it
    assert found["2.9/linux-aarch64/cpu"].trio["torchvision"] == "0.24.0"


def test_a_torch_that_is_held_gives_way_to_the_next_older_one(folder: Path, tmp_path: Path) -> None:
    lock = outcome(folder, tmp_path, against("torch", "2.10.0")).lock
    assert cell(lock, "2.9/linux-aarch64/cpu").torch == "2.9.0"
    (row,) = lock.held
    assert (row.place, row.version, row.instead, row.since) == (
        *("stable/linux-aarch64/cpu", "2.10.0", "2.9.0", TODAY),
    )


def test_where_every_torch_is_held_the_cells_stay_as_the_lock_has_them(
    folder: Path, tmp_path: Path
) -> None:
    old = outcome(folder, tmp_path).lock
    tiny_torch("2.11.0", "cp312").write(folder)
    judges = [against("torch", version) for version in ("2.9.0", "2.10.0", "2.11.0")]
    lock = outcome(folder, tmp_path, *judges, old=old).lock
    assert cell(lock, CPU) == cell(old, CPU)
    assert {row.version for row in lock.held} == {"2.9.0", "2.10.0", "2.11.0"}
    without = outcome(folder, tmp_path, *judges).lock
    assert not [c for c in without.cells if c.accelerator.cuda is None]
    assert cell(without, CUDA).torch == "2.15.0"


def test_what_is_held_keeps_its_first_day_and_goes_when_the_reason_does(
    folder: Path, tmp_path: Path
) -> None:
    judge = against("torchvision", "0.25.1")
    with IndexServer(folder) as server:
        first = run_update(server, tmp_path, judges=[judge], today="2026-11-01").lock
        again = run_update(server, tmp_path, judges=[judge], old=first, today="2026-11-02").lock
        free = run_update(server, tmp_path, old=again, today="2026-11-03").lock
    assert lock_text(again) == lock_text(first)
    assert parse_lock(lock_text(again), where="lock") == again
    assert not free.all_held()
    kinds = {row.kind for row in diff_locks(again, free).rows}
    assert "held no more" in kinds


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no zip"),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
    ],
)
def test_a_companion_that_is_broken_everywhere_gives_way(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    for path in folder.glob("torchvision-0.25.1-*"):
        spoil(path)
    found = outcome(folder, tmp_path)
    assert found.findings == ()
    cpu = cell(found.lock, CPU)
    assert cpu.trio["torchvision"] == "0.25.0"
    assert rows(cpu) == [("torchvision", "0.25.1", "", "0.25.0")]
    assert [h.kind for h in cpu.held] == ["malformed"]


def test_the_matrix_and_the_announcement_say_what_is_held(folder: Path, tmp_path: Path) -> None:
    old = outcome(folder, tmp_path).lock
    new = outcome(folder, tmp_path, against("torchvision", "0.25.1"), old=old).lock
    view = matrix_view(feedstock(), new)
    assert any(each.held for each in view.cells)
    assert '"kind": "symbols"' in matrix_json(view)
    said = announce(old, new, diff_locks(old, new), ())
    assert said.attention == ()
    assert "hold torchvision 0.25.1" in said.title
    text = said.markdown()
    assert "### Held back" in text
    assert "`symbols: x is lacking`" in text
    assert TODAY in text


def test_an_index_without_hashes_holds_everything_and_loses_nothing(
    folder: Path, tmp_path: Path
) -> None:
    old = outcome(folder, tmp_path).lock
    with IndexServer(folder, Behaviour(hashes=False)) as server:
        lock = run_update(server, tmp_path, old=old).lock
    assert lock.cells == old.cells
    assert {row.kind for row in lock.held} == {"malformed"}


def test_what_spoils_the_recipes_of_a_line_is_left_out_before_it_is_locked(
    folder: Path, tmp_path: Path
) -> None:
    lock = outcome(folder, tmp_path).lock
    good = proven(feedstock(), lock, Lock(), today=TODAY)
    assert good == lock
    # METADATA that no recipe can be written from, as if a judge had overlooked it
    vision = next(w for w in cell(lock, CPU).wheels if w.project == "torchvision")
    said = lock.metadata[vision.metadata]
    spoilt = replace(
        lock,
        metadata={
            **lock.metadata,
            vision.metadata: replace(said, requires_dist=("torch==1.0", "nonsense ==== 3")),
        },
    )
    mended = proven(feedstock(), spoilt, Lock(), today=TODAY)
    found = cell(mended, CPU)
    assert "torchvision" not in found.trio
    (row,) = [h for h in found.held if h.project == "torchvision"]
    assert row.kind in {"malformed", "render"}
    assert [c for c in mended.cells if c.name != CPU] == [c for c in lock.cells if c.name != CPU]
    assert set(mended.metadata) == {w.metadata for c in mended.cells for w in c.wheels}
