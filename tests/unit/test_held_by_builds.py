"""What only a build shows: the cell stays as it was, the rest goes on, nobody tries it hourly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from generator.ci.verdicts import read_verdicts
from generator.console import Silent
from generator.datafiles import subdirs
from generator.model import Accelerator, Held, PythonBuild
from generator.updating import Prospect, recorded_judge
from generator.updating.catalogue import Release
from generator.updating.recorded_judge import RecordedJudge, code_digest, with_failed
from generator.upstream import Offer
from tests.locks import Shelf, cpu_cell, cuda_cell

ROW = Held(
    kind="test",
    detail="import torchvision: exit code 1",
    next_step="look at the job",
    project="torchvision",
    version="0.99.0",
    since="2026-11-29",
    judged_by=code_digest(),
)


def prospect(version: str, *, accelerator: str = "cpu", project: str = "torchvision") -> Prospect:
    wheels: dict[PythonBuild, Offer] = {}
    return Prospect(
        train="stable",
        subdir=subdirs()["linux-aarch64"],
        accelerator=Accelerator.parse(accelerator),
        project=project,
        release=Release(Version(version)),
        wheels=wheels,
        torch=wheels,
    )


def test_a_cell_that_failed_is_as_it_was_and_the_others_go_on():
    shelf = Shelf()
    cpu, cuda = cpu_cell(shelf), cuda_cell(shelf)
    before = shelf.lock(cpu, cuda)
    newer = replace(cpu, trio={**cpu.trio, "torchvision": "0.99.0"})
    changed = replace(cuda, trio={**cuda.trio, "torchaudio": "0.99.0"})
    tried = replace(before, cells=(newer, changed))
    kept = with_failed(tried, before, {newer.name: ROW})
    assert {cell.name: cell for cell in kept.cells} == {cpu.name: cpu, cuda.name: changed}
    (row,) = kept.held
    assert (row.project, row.version, row.instead, row.judged_by) == (
        *("torchvision", "0.99.0", cpu.trio["torchvision"], code_digest()),
    )
    assert (row.subdir, row.accelerator) == (cpu.subdir, "cpu")


def test_a_cell_that_a_failed_one_superseded_comes_back():
    shelf = Shelf()
    cpu, cuda = cpu_cell(shelf), cuda_cell(shelf)
    before = shelf.lock(cpu, cuda)
    newer = replace(cpu, line="9.9", trio={**cpu.trio, "torch": "9.9.0"})
    row = replace(ROW, project="torch", version="9.9.0")
    kept = with_failed(replace(before, cells=(newer, cuda)), before, {newer.name: row})
    assert {cell.name for cell in kept.cells} == {cpu.name, cuda.name}
    assert kept.held[0].instead == cpu.torch
    assert set(kept.metadata) == set(before.metadata)


def test_a_new_cell_that_failed_for_no_known_reason_goes_without_a_row():
    shelf = Shelf()
    cpu, cuda = cpu_cell(shelf), cuda_cell(shelf)
    kept = with_failed(shelf.lock(cpu, cuda), shelf.lock(cpu), {cuda.name: None})
    assert [cell.name for cell in kept.cells] == [cpu.name]
    assert kept.held == ()


def test_what_a_build_showed_is_repeated_until_armtorch_or_upstream_changes(
    monkeypatch: pytest.MonkeyPatch,
):
    shelf = Shelf()
    cpu, cuda = cpu_cell(shelf), cuda_cell(shelf)
    before = shelf.lock(cpu, cuda)
    newer = replace(cpu, trio={**cpu.trio, "torchvision": "0.99.0"})
    lock = with_failed(replace(before, cells=(newer, cuda)), before, {newer.name: ROW})
    judge = RecordedJudge(lock=lock)
    (found,) = judge(prospect("0.99.0"))
    assert (found.kind, found.detail, found.judged_by) == (ROW.kind, ROW.detail, ROW.judged_by)
    assert judge(prospect("0.99.1")) == ()
    assert judge(prospect("0.99.0", accelerator="cuda130")) == ()
    assert judge(prospect("0.99.0", project="torchaudio")) == ()
    monkeypatch.setattr(recorded_judge, "code_digest", lambda: "0" * 64)
    assert judge(prospect("0.99.0")) == ()


def test_what_a_job_left_that_is_no_verdict_stops_none_of_the_others(tmp_path: Path):
    """Upstream's code ran in it: it may leave anything."""
    row = {"package": "pytorch", "cell": "2.10/osx-arm64/cpu", "kind": "test", "detail": "fails"}
    for number, text in enumerate(
        ["", "{", "[1]", "[" * 9999, json.dumps([row]), json.dumps([{**row, "kind": "x"}])]
    ):
        (tmp_path / f"{number}.json").write_text(text)
    (tmp_path / "6.json").write_bytes(b"[" + b" " * (4 << 20) + b"]")
    (tmp_path / "7.json").mkdir()
    assert [each.detail for each in read_verdicts(tmp_path, Silent())] == ["fails"]
