"""What a person is told about the difference of two locks."""

from __future__ import annotations

import dataclasses

import pytest

from generator.lock import diff_locks
from generator.model import Absence, Cell, Lock, Metadata
from tests.unit.test_lock_document import full_lock, wheel


def changed(**facts: object) -> Lock:
    """The full lock with its first cell changed."""
    lock = full_lock()
    first = dataclasses.replace(lock.cells[0], **facts)  # type: ignore[arg-type]
    return dataclasses.replace(lock, cells=(first, *lock.cells[1:]))


def rows(new: Lock, old: Lock | None = None) -> list[tuple[str, str, str, str]]:
    return [
        (row.kind, row.subject, row.before, row.after)
        for row in diff_locks(old or full_lock(), new).rows
    ]


def test_the_same_lock_has_no_difference() -> None:
    diff = diff_locks(full_lock(), full_lock().in_order())
    assert diff.empty
    assert diff.text() == ""
    assert diff.to_json() == []


def test_cells_come_and_go() -> None:
    full = full_lock()
    without = dataclasses.replace(full, cells=full.cells[1:])
    assert rows(without) == [("cell removed", "torchaudio 2.10.0, torch 2.10.0", "4 wheels", "")]
    assert [row[0] for row in rows(full, without)] == ["cell added", "absence added"]


def test_wheels_come_and_go() -> None:
    cell = full_lock().cells[0]
    gone, new = wheel(python="3.9"), wheel(python="3.13")
    kept = tuple(each for each in cell.wheels if each != gone)
    assert rows(changed(wheels=(*kept, new))) == [
        ("wheel added", new.filename, "", new.sha256),
        ("wheel removed", gone.filename, gone.sha256, ""),
    ]


@pytest.mark.parametrize(("train", "tampering"), [("stable", True), ("nightly", False)])
def test_other_bytes_under_one_name_are_tampering_on_stable(train: str, tampering: bool) -> None:
    def of(cell: Cell) -> Cell:
        return dataclasses.replace(cell, train=train)  # type: ignore[arg-type]

    full = full_lock()
    old = dataclasses.replace(full, cells=tuple(map(of, full.cells)))
    wheels = (wheel("torchaudio", None, "f" * 64), *full.cells[0].wheels[1:])
    new = dataclasses.replace(
        old, cells=(dataclasses.replace(old.cells[0], wheels=wheels), *old.cells[1:])
    )
    diff = diff_locks(old, new)
    assert [row.kind for row in diff.rows] == ["wheel changed"]
    assert diff.rows[0].tampering is tampering
    assert ("TAMPERING" in diff.text()) is tampering


def test_dependencies_and_licences() -> None:
    old = full_lock()
    key = "n" * 64
    said = Metadata(
        name="torch",
        version="2.10.0",
        requires_dist=("numpy>2", "sympy"),
        license="MIT",
        requires_python=">=3.11",
    )
    new = dataclasses.replace(
        old,
        metadata={**old.metadata, key: said},
        cells=tuple(
            dataclasses.replace(
                cell,
                wheels=tuple(
                    dataclasses.replace(each, metadata=key) if each.project == "torch" else each
                    for each in cell.wheels
                ),
            )
            if cell.line == "2.10"
            else cell
            for cell in old.cells
        ),
    )
    assert rows(new) == [
        ("dependency removed", "torch", "numpy", ""),
        ("dependency added", "torch", "", "numpy>2"),
        ("dependency added", "torch", "", "sympy"),
        ("licence changed", "torch", "", "MIT"),
        ("requires-python changed", "torch", "", ">=3.11"),
    ]


def test_absences_are_rows_with_their_reason() -> None:
    absence = Absence(package="torchaudio", python="3.15", reason="absent", detail="not there")
    full = full_lock()
    assert rows(changed(absent=(*full.cells[0].absent, absence))) == [
        ("absence added", "torchaudio for Python 3.15", "", "absent: not there")
    ]
    assert rows(dataclasses.replace(full, absent=())) == [
        ("absence removed", "the cell", "absent: nothing", "")
    ]


def test_the_text_groups_by_cell() -> None:
    text = diff_locks(Lock(), full_lock()).text()
    heads = [line for line in text.splitlines() if not line.startswith(" ")]
    assert heads == [
        "2.10/linux-aarch64/cuda130",
        "2.15/linux-aarch64/cpu",
        "2.15/linux-aarch64/cuda132",
        "stable/win-arm64/cpu",
    ]
