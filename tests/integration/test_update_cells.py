"""`armtorch update` whole: which cells, what is kept, what is said, and that nothing is lost."""

from __future__ import annotations

import random
import shutil
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import (
    FeedstockError,
    IntegrityError,
    MalformedError,
    UnreachableError,
)
from generator.feedstock import IndexSource, SubdirWish, TrainPolicy
from generator.lock import lock_text
from generator.model import BuildNumber, Cell, Lock, Pythons
from generator.upstream.policy import trio_policy
from tests.index_server import Behaviour, Failure, IndexServer
from tests.integration.updating import (
    TODAY,
    Heard,
    feedstock,
    first_lock,
    legacy,
    run_update,
    upstream_of_2026,
)
from tests.tiny_wheels import tiny_companion, tiny_elf, tiny_torch

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    upstream_of_2026(folder)
    return folder


def cell(lock: Lock, name: str) -> Cell:
    return next(cell for cell in lock.cells if cell.name == name)


def absences(found: Cell) -> list[tuple[str, str, str]]:
    return [(a.package, a.python, a.reason) for a in found.absent]


def test_the_cells_of_2026(folder: Path, tmp_path: Path) -> None:
    lock = first_lock(folder, tmp_path)
    assert {c.name: dict(c.trio) for c in lock.cells} == {
        "2.10/linux-aarch64/cpu": {
            "torch": "2.10.0",
            "torchvision": "0.25.0",
            "torchaudio": "2.10.0",
        },
        "2.14/linux-aarch64/cuda130": {
            "torch": "2.14.1",
            "torchvision": "0.29.2",
            "torchaudio": "2.11.0",
        },
        "2.15/linux-aarch64/cuda132": {"torch": "2.15.0", "torchvision": "0.29.2"},
    }
    newest = cell(lock, "2.15/linux-aarch64/cuda132")
    assert absences(newest) == [("torchaudio", "", "incompatible")]
    assert "_check_cuda_version" in newest.absent[0].detail
    complete = cell(lock, "2.14/linux-aarch64/cuda130")
    assert absences(complete) == [("torchaudio", "3.13t", "absent")]
    assert [str(w.python) for w in complete.wheels_of("torchvision")] == ["None"]
    assert [str(p) for p in complete.pythons()] == ["3.11", "3.12", "3.13t"]
    assert complete.sharing is not None
    assert complete.sharing.reference == "3.11"
    assert "libtorch_cpu.so" in complete.libraries
    assert {w.metadata for c in lock.cells for w in c.wheels} == set(lock.metadata)


def test_the_patch_makes_the_newest_release_complete(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server:
        lock = run_update(server, tmp_path, trios=trio_policy()).lock
    assert sorted(c.line for c in lock.cells) == ["2.10", "2.15"]
    assert dict(cell(lock, "2.15/linux-aarch64/cuda132").trio) == {
        "torch": "2.15.0",
        "torchvision": "0.29.2",
        "torchaudio": "2.11.0",
    }


def test_a_second_update_changes_no_byte_and_reads_no_wheel(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server:
        first = run_update(server, tmp_path)
        server.forget()
        second = run_update(server, tmp_path, old=first.lock)
        assert {path for path, _ in server.log} == {
            "/simple/torch/",
            "/simple/torchvision/",
            "/simple/torchaudio/",
        }
        assert second.traffic.bytes == 0
    assert lock_text(second.lock) == lock_text(first.lock)


@pytest.mark.parametrize("change", [{"json": False}, {"metadata": True}, {"ranges": False}])
def test_how_a_mirror_serves_does_not_change_a_locked_cell(
    folder: Path, tmp_path: Path, change: dict[str, bool]
) -> None:
    old = first_lock(folder, tmp_path / "one")
    with IndexServer(folder, Behaviour(**change)) as server:  # type: ignore[arg-type]
        outcome = run_update(server, tmp_path / "two", old=old)
    assert lock_text(outcome.lock) == lock_text(old)


def test_build_numbers_are_carried_over(folder: Path, tmp_path: Path) -> None:
    builds = {"2.10/pytorch": BuildNumber(number=3, digest="d" * 64)}
    old = replace(first_lock(folder, tmp_path), builds=builds)
    with IndexServer(folder) as server:
        assert run_update(server, tmp_path, old=old).lock.builds == builds


def test_newest_and_newest_complete_are_asked_for_apart(folder: Path, tmp_path: Path) -> None:
    lock = first_lock(folder, tmp_path, trains={"stable": TrainPolicy(keep=("newest-complete",))})
    assert sorted(c.line for c in lock.cells) == ["2.10", "2.14"]
    lock = first_lock(folder, tmp_path, trains={"stable": TrainPolicy(keep=("newest",))})
    assert sorted(c.line for c in lock.cells) == ["2.10", "2.15"]


def test_one_minor_with_two_releases_gives_two_lines(folder: Path, tmp_path: Path) -> None:
    tiny_torch("2.14.2", "cp311", requires=["cuda-toolkit==13.2.0"]).write(folder)
    for path in folder.glob("torch-2.15.0*"):
        path.unlink()
    lock = first_lock(folder, tmp_path)
    assert {c.line: c.torch for c in lock.cells} == {
        "2.10": "2.10.0",
        "2.14": "2.14.2",
        "2.14.1": "2.14.1",
    }


def test_listed_pythons_and_a_line_of_its_own(folder: Path, tmp_path: Path) -> None:
    tiny_torch("2.8.0", "cp39", requires_python=">=3.9").write(folder)
    tiny_companion(
        "torchvision", "0.23.0", "cp39", torch="torch==2.8.0", requires_python=">=3.9"
    ).write(folder)
    lock = first_lock(folder, tmp_path, lines=(legacy(),), pythons=Pythons.parse(["3.12", "3.10"]))
    assert [str(p) for p in cell(lock, "2.10/linux-aarch64/cpu").pythons()] == ["3.12"]
    assert absences(cell(lock, "2.10/linux-aarch64/cpu")) == [("", "3.10", "absent")]
    old = cell(lock, "legacy/linux-aarch64/cpu")
    assert dict(old.trio) == {"torch": "2.8.0", "torchvision": "0.23.0"}
    assert absences(old) == [("torchaudio", "", "incompatible")]


@pytest.mark.parametrize(
    ("line", "train", "kept"),
    [("3.12", "all", "2.10"), ("all", "3.12", "legacy"), ("all", "all", "legacy")],
)
def test_two_lines_of_one_torch_are_one_cell(
    line: str, train: str, kept: str, folder: Path, tmp_path: Path
) -> None:
    pythons = Pythons.parse([train])
    lock = first_lock(folder, tmp_path, lines=(legacy("==2.10.*", line),), pythons=pythons)
    own = [c for c in lock.cells if c.torch == "2.10.0"]
    assert [c.name for c in own] == [f"{kept}/linux-aarch64/cpu"]
    assert [str(p) for p in own[0].pythons()] == ["3.11", "3.12", "3.13t"]


def test_what_there_was_stays_where_a_line_of_its_own_comes_to_the_same(
    folder: Path, tmp_path: Path
) -> None:
    asked = feedstock(lines=(legacy("==2.10.*", "all"),))
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        heard = Heard()
        found = run_update(server, tmp_path, old=old, asked=asked, heard=heard).lock
    assert found == old
    assert "legacy/linux-aarch64/cpu: 2.10/linux-aarch64/cpu has its torch 2.10.0" in "".join(
        heard.said
    )


def test_two_lines_of_one_torch_that_cannot_be_one_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    asked = feedstock(lines=(legacy("==2.10.*", "3.11"),), pythons=Pythons.parse(["3.12"]))
    with IndexServer(folder) as server, pytest.raises(FeedstockError) as caught:
        run_update(server, tmp_path, asked=asked)
    # the line of its own is there to stay: it would be the one
    assert "legacy lacks Python 3.12" in caught.value.what
    assert "pythons" in caught.value.next_step


def test_what_upstream_does_not_have_is_absent(folder: Path, tmp_path: Path) -> None:
    lock = first_lock(
        folder,
        tmp_path,
        lines=(legacy("==2.7.*"),),
        subdirs={
            "linux-aarch64": SubdirWish(accelerators=("cuda126",)),
            "win-arm64": SubdirWish(accelerators=("cpu",)),
        },
    )
    assert lock.cells == ()
    assert sorted((a.subdir, a.accelerator, a.reason) for a in lock.absent) == [
        ("linux-aarch64", "cpu", "absent"),
        ("linux-aarch64", "cuda126", "absent"),
        ("win-arm64", "cpu", "absent"),
    ]


def test_prereleases_and_yanked_files_are_not_stable(folder: Path, tmp_path: Path) -> None:
    before = lock_text(first_lock(folder, tmp_path))
    for version in ("2.16.0rc1", "2.16.0.dev20261101", "2.17.0"):
        tiny_torch(version, "cp312").write(folder)
    yanked = {tiny_torch("2.17.0", "cp312").filename: "does not import"}
    with IndexServer(folder, Behaviour(yanked=yanked)) as server:
        assert lock_text(run_update(server, tmp_path).lock) == before


def test_a_yanked_companion_says_so(folder: Path, tmp_path: Path) -> None:
    name = tiny_companion("torchaudio", "2.10.0", "cp312", torch=None).filename
    with IndexServer(folder, Behaviour(yanked={name: "bad build"})) as server:
        found = cell(run_update(server, tmp_path).lock, "2.10/linux-aarch64/cpu")
    assert absences(found) == [("torchaudio", "3.12", "absent")]
    assert "yanked (bad build)" in found.absent[0].detail


def test_a_python_whose_libtorch_differs_gets_one_of_its_own(folder: Path, tmp_path: Path) -> None:
    tiny_torch(
        "2.10.0", "cp312", extra={"torch/lib/libtorch_cpu.so": tiny_elf(body=b"other")}
    ).write(folder)
    found = cell(first_lock(folder, tmp_path), "2.10/linux-aarch64/cpu")
    assert [str(p) for p in found.pythons()] == ["3.11", "3.12", "3.13t"]
    assert absences(found) == []
    assert [(each.reference, each.pythons) for each in found.groups] == [
        ("3.11", ()),
        ("3.12", ("3.12",)),
    ]


def test_a_wheel_of_another_cuda_does_not_slip_into_a_cell(folder: Path, tmp_path: Path) -> None:
    tiny_torch("2.14.1", "cp312", requires=["cuda-toolkit==12.9.1"]).write(folder)
    found = cell(first_lock(folder, tmp_path), "2.14/linux-aarch64/cuda130")
    assert ("", "3.12", "incompatible") in absences(found)
    assert [str(p) for p in found.pythons()] == ["3.11", "3.13t"]


def answered(lock: Lock) -> Lock:
    """The lock without the mark of silence."""
    cells = tuple(replace(c, unreachable_since="") for c in lock.cells)
    return replace(lock, cells=cells, silent={})


def test_silence_keeps_its_first_day_and_ends(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        server.behaviour.failures = deque([Failure(503)] * 99)
        once = run_update(server, tmp_path, old=old, today="2026-11-01").lock
        twice = run_update(server, tmp_path, old=once, today="2026-11-02").lock
        server.behaviour.failures.clear()
        again = run_update(server, tmp_path, old=twice).lock
    assert {c.unreachable_since for c in once.cells} == {"2026-11-01"}
    assert lock_text(twice) == lock_text(once)
    assert lock_text(again) == lock_text(old)


def unheld(lock: Lock) -> Lock:
    """The lock without a word about what is held."""
    return replace(lock, cells=tuple(replace(c, held=()) for c in lock.cells))


def down(server: IndexServer) -> None:
    server.stop()


def busy(server: IndexServer) -> None:
    server.behaviour.failures = deque([Failure(429)] * 99)


def broken(server: IndexServer) -> None:
    server.behaviour.failures = deque([Failure(500)] * 99)


def one_project(server: IndexServer) -> None:
    server.behaviour.failures = deque([Failure(503)] * 99)
    server.behaviour.failing = "/simple/torchaudio/"


def login(server: IndexServer) -> None:
    server.behaviour.login_page = True


@pytest.mark.parametrize("trouble", [down, busy, broken, one_project, login])
def test_trouble_with_an_index_keeps_the_old_lock(
    folder: Path, tmp_path: Path, trouble: object
) -> None:
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        tiny_torch("2.16.0", "cp312").write(folder)
        trouble(server)  # type: ignore[operator]
        outcome = run_update(server, tmp_path, old=old)
        nothing_known = run_update(server, tmp_path)
    since = "" if trouble is login else TODAY
    assert {c.unreachable_since for c in outcome.lock.cells} == {since}
    assert lock_text(answered(outcome.lock)) == lock_text(old)
    (finding,) = outcome.findings
    reason = "malformed" if trouble is login else "unreachable"
    assert type(finding) is (MalformedError if trouble is login else UnreachableError)
    assert finding.next_step
    assert nothing_known.lock.cells == ()
    assert {a.reason for a in nothing_known.lock.absent} == {reason}
    assert len(nothing_known.lock.absent) == 2


@pytest.mark.parametrize("cached", [True, False])
def test_a_wheel_that_cannot_be_read_keeps_its_old_cell(
    folder: Path, tmp_path: Path, cached: bool
) -> None:
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        if not cached:
            shutil.rmtree(tmp_path / "facts")
        tiny_torch("2.15.1", "cp312", requires=["cuda-toolkit==13.2.2"]).write(folder)
        server.behaviour.failures = deque([Failure(503)] * 999)
        server.behaviour.failing = "/files/.*"
        outcome = run_update(server, tmp_path, old=old)
    assert cell(outcome.lock, "2.15/linux-aarch64/cuda132").torch == "2.15.0"
    assert lock_text(answered(outcome.lock)) == lock_text(old)
    assert {type(finding) for finding in outcome.findings} == {UnreachableError}


@pytest.mark.parametrize("trouble", ["gone", "silent", "garbled"])
def test_one_locked_wheel_that_cannot_be_read_keeps_the_cell(
    folder: Path, tmp_path: Path, trouble: str
) -> None:
    path = folder / tiny_companion("torchaudio", "2.10.0", "cp312", torch=None).filename
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        shutil.rmtree(tmp_path / "facts")
        server.behaviour.wrong_hashes = {
            path.name: next(
                w.sha256 for c in old.cells for w in c.wheels if w.filename == path.name
            )
        }
        if trouble == "garbled":
            path.write_bytes(random.Random(2).randbytes(path.stat().st_size))
        else:
            status = 404 if trouble == "gone" else 503
            server.behaviour.failures = deque([Failure(status)] * 99)
            server.behaviour.failing = f"/files/{path.name}"
        outcome = run_update(server, tmp_path, old=old)
    assert lock_text(answered(unheld(outcome.lock))) == lock_text(old)
    if trouble == "silent":
        assert [finding.kind for finding in outcome.findings] == ["unreachable"]
        assert outcome.lock.cells
        assert not any(c.held for c in outcome.lock.cells)
    else:
        assert outcome.findings == ()
        (row,) = cell(outcome.lock, "2.10/linux-aarch64/cpu").held
        kind = {"gone": "absent", "garbled": "malformed"}[trouble]
        assert (row.project, str(row.python), row.kind, row.since) == (
            *("torchaudio", "3.12", kind, TODAY),
        )


def test_a_release_that_cannot_be_read_whole_does_not_replace_the_old_one(
    folder: Path, tmp_path: Path
) -> None:
    with IndexServer(folder) as server:
        old = run_update(server, tmp_path).lock
        for abi in ("cp311", "cp312"):
            tiny_torch("2.10.1", abi).write(folder)
        server.behaviour.failures = deque([Failure(503)] * 99)
        server.behaviour.failing = "/files/torch-2.10.1-cp312.*"
        outcome = run_update(server, tmp_path, old=old)
        assert cell(outcome.lock, "2.10/linux-aarch64/cpu").torch == "2.10.0"
        server.behaviour.failures.clear()
        later = run_update(server, tmp_path, old=outcome.lock)
    assert cell(later.lock, "2.10/linux-aarch64/cpu").torch == "2.10.1"


def test_a_new_wheel_that_cannot_be_read_is_unreachable_not_absent(
    folder: Path, tmp_path: Path
) -> None:
    name = tiny_companion("torchaudio", "2.10.0", "cp312", torch=None).filename
    behaviour = Behaviour(failures=deque([Failure(503)] * 99), failing=f"/files/{name}")
    with IndexServer(folder, behaviour) as server:
        outcome = run_update(server, tmp_path)
    found = cell(outcome.lock, "2.10/linux-aarch64/cpu")
    assert absences(found) == [("torchaudio", "3.12", "unreachable")]
    assert [type(finding) for finding in outcome.findings] == [UnreachableError]


def test_an_unsafe_wheel_is_left_out_and_held(folder: Path, tmp_path: Path) -> None:
    wheel = tiny_torch("2.10.0", "cp312", extra={"torch/../../evil": b"x"})
    wheel.write(folder)
    with IndexServer(folder) as server:
        outcome = run_update(server, tmp_path)
    found = cell(outcome.lock, "2.10/linux-aarch64/cpu")
    assert [str(p) for p in found.pythons()] == ["3.11", "3.13t"]
    assert outcome.findings == ()
    (row,) = found.held
    assert (row.project, row.version, str(row.python), row.kind) == (
        *("torch", "2.10.0", "3.12", "malformed"),
    )
    assert row.detail


def test_a_wheel_without_sha256_is_held(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder, Behaviour(hashes=False)) as server:
        outcome = run_update(server, tmp_path)
    assert outcome.lock.cells == ()
    assert outcome.lock.absent == ()
    assert {(h.accelerator, h.kind) for h in outcome.lock.held} == {
        ("cpu", "malformed"),
        ("cuda", "malformed"),
    }
    assert all("no sha256" in h.detail for h in outcome.lock.held)


def test_a_stable_file_with_other_bytes_stops_the_update(folder: Path, tmp_path: Path) -> None:
    old = first_lock(folder, tmp_path)
    changed = tiny_torch("2.10.0", "cp312", extra={"torch/evil.py": b"x"})
    before = next(w for c in old.cells for w in c.wheels if w.filename == changed.filename)
    changed.write(folder)
    with IndexServer(folder) as server, pytest.raises(IntegrityError) as caught:
        run_update(server, tmp_path, old=old)
    assert before.sha256 in str(caught.value)
    assert caught.value.exit_code == 13


def test_a_folder_of_wheels_is_as_good_as_an_index(folder: Path, tmp_path: Path) -> None:
    source = IndexSource(kind="folder", url=str(folder))
    outcome = run_update(None, tmp_path, asked=feedstock(source), urls={"pip": "file:///none"})
    assert outcome.findings == ()
    assert len(outcome.lock.cells) == 3
    assert {w.hash_origin for c in outcome.lock.cells for w in c.wheels} == {"computed"}
    assert outcome.traffic.bytes == 0


def test_the_first_index_that_has_a_file_wins(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    wheel = tiny_torch("2.10.0", "cp312", extra={"torch/mine.py": b"1"})
    wheel.write(mine)
    asked = replace(
        feedstock(),
        indexes={
            "mine": IndexSource(kind="folder", url=str(mine)),
            "pypi": IndexSource(kind="pip"),
        },
        trains={"stable": TrainPolicy(indexes=("mine", "pypi"))},
    )
    with IndexServer(folder) as server:
        lock = run_update(server, tmp_path, asked=asked).lock
    found = cell(lock, "2.10/linux-aarch64/cpu")
    assert {w.filename: w.index for w in found.wheels_of("torch")}[wheel.filename] == "mine"
    assert {w.index for w in found.wheels} == {"mine", "pypi"}


def test_requires_python_of_the_wheel_itself_counts(folder: Path, tmp_path: Path) -> None:
    tiny_torch("2.10.0", "cp312", requires_python="<3.12").write(folder)
    found = cell(first_lock(folder, tmp_path), "2.10/linux-aarch64/cpu")
    assert ("", "3.12", "incompatible") in absences(found)
    assert [str(p) for p in found.pythons()] == ["3.11", "3.13t"]


def test_progress_is_told(folder: Path, tmp_path: Path) -> None:
    heard = Heard()
    with IndexServer(folder) as server:
        run_update(server, tmp_path, heard=heard)
    assert any("torch 2.14.1, torchvision 0.29.2, torchaudio 2.11.0" in line for line in heard.said)


def test_the_wheels_of_a_release_cost_few_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    noise = random.Random(1).randbytes(8_000_000)
    for abi in ("cp311", "cp312"):
        tiny_torch("2.10.0", abi, extra={"torch/lib/libtorch_cpu.so": noise}).write(folder)
    with IndexServer(folder) as server:
        outcome = run_update(server, tmp_path)
        assert server.bytes.total() == outcome.traffic.bytes
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert outcome.traffic.wheels.total() / size <= 0.015
