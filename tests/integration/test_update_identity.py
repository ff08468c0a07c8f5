"""The same wheel means the same sha256: names without hashes, with new bytes, and out of reach."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generator.building import fetch
from generator.errors import IntegrityError, UnreachableError
from generator.feedstock import read_feedstock
from generator.lock import diff_locks, lock_text, parse_lock
from generator.matrix import matrix_view
from generator.model import Candidate, Cell, Lock
from generator.rendering import number_builds
from tests.index_server import Failure
from tests.integration.index_worlds import World, trio, world
from tests.integration.test_update_formats import NIGHTLY, STABLE, cells, stable
from tests.integration.updating import Heard, obtain
from tests.synthetic_wheels import TinyWheel

pytestmark = pytest.mark.integration

DAY = "2.16.0.dev20261121"
RC = """\
indexes:
  stable-cpu: {kind: pytorch, url: "{root}/whl/cpu"}
  test-cpu: {kind: pytorch, url: "{root}/whl/test/cpu"}
trains:
  stable: {keep: [newest], indexes: [stable-cpu]}
  rc: {keep: [newest], indexes: [test-cpu]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
"""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def nightly(*, changed: bool = False) -> list[TinyWheel]:
    wheels = trio(DAY, "0.30.0.dev20261121", "2.11.0.dev20261121", label="cpu")
    return [with_more(w) if changed else w for w in wheels]


def with_more(wheel: TinyWheel) -> TinyWheel:
    return replace(wheel, members={**wheel.members, f"{wheel.project}/more.py": b"1"})


def whole(upstream: World) -> list[str]:
    """Files that were sent whole."""
    return [p for p, code in upstream.files.log if code == 200 and upstream.files.bytes[p]
            and p.endswith(".whl")]  # fmt: skip


def only(lock: Lock) -> Cell:
    (cell,) = lock.cells
    return cell


def test_a_nightly_gets_its_sha256_at_the_first_fetch_and_is_held_to_it(upstream: World) -> None:
    upstream.put("whl/nightly/cpu", *nightly())
    first = upstream.update(NIGHTLY)
    assert first.findings == ()
    cell = only(first.lock)
    assert cell.name == "nightly/linux-aarch64/cpu"
    assert {w.hash_origin for w in cell.wheels} == {"computed"}
    for wheel in cell.wheels:
        path = upstream.folder / "cache/wheelhouse" / wheel.sha256[:16] / wheel.filename
        assert path.read_bytes() == (upstream.wheels / "whl/nightly/cpu" / path.name).read_bytes()
    assert sorted(whole(upstream)) == sorted(set(whole(upstream)))  # once each
    assert len(whole(upstream)) == 3
    feedstock = read_feedstock(upstream.folder / "repo/feedstock.yaml")
    (view,) = matrix_view(feedstock, first.lock).cells
    assert (view.computed_hashes, view.indexes) == (True, ("nightly-cpu",))
    assert view.candidate == "candidate 1 of 2026-11-22"
    assert parse_lock(lock_text(first.lock), where="lock") == first.lock

    upstream.files.forget()
    second = upstream.update(NIGHTLY, first.lock, today="2026-11-30")
    assert lock_text(second.lock) == lock_text(first.lock)
    assert upstream.files.bytes.total() == 0  # HEAD, and the ETags are the same


@pytest.mark.parametrize("etag", [True, False])
def test_another_machine_reads_ranges_not_wheels(upstream: World, etag: bool) -> None:
    upstream.put("whl/nightly/cpu", *nightly())
    upstream.files.behaviour.etag = etag
    first = upstream.update(NIGHTLY)
    upstream.forget_cache()
    upstream.files.forget()
    second = upstream.update(NIGHTLY, first.lock)
    assert lock_text(second.lock) == lock_text(first.lock)
    assert whole(upstream) == []


def test_a_nightly_with_new_bytes_is_a_new_candidate_and_a_new_build(upstream: World) -> None:
    upstream.put("whl/nightly/cpu", *nightly())
    asked = read_feedstock(upstream.project(NIGHTLY).feedstock)
    first = upstream.update(NIGHTLY).lock
    first = number_builds(asked, first, None)
    upstream.put("whl/nightly/cpu", *nightly(changed=True))
    outcome = upstream.update(NIGHTLY, first, today="2026-11-30")
    assert outcome.findings == ()
    assert only(outcome.lock).candidate == Candidate(number=2, date="2026-11-30")
    hashes = {w.filename: w.sha256 for w in only(first).wheels}
    assert all(hashes[w.filename] != w.sha256 for w in only(outcome.lock).wheels)
    second = number_builds(asked, outcome.lock, first)
    numbers = {name: build.number for name, build in second.builds.items()}
    assert numbers["nightly/pytorch"] == numbers["nightly/libtorch"] == 1
    assert not any(row.tampering for row in diff_locks(first, second).rows)
    # and once more: counted on, never back
    upstream.put("whl/nightly/cpu", *nightly())
    third = upstream.update(NIGHTLY, second)
    assert only(third.lock).candidate == Candidate(number=3, date="2026-11-22")
    assert number_builds(asked, third.lock, second).builds["nightly/pytorch"].number == 2


def test_yesterdays_nightly_keeps_its_build_number_on_its_own_line(upstream: World) -> None:
    upstream.put("whl/nightly/cpu", *nightly())
    text = NIGHTLY.replace("[newest]", "[newest], releases: 2")
    asked = read_feedstock(upstream.project(text).feedstock)
    first = number_builds(asked, upstream.update(text).lock, None)
    upstream.put("whl/nightly/cpu", *nightly(changed=True))
    second = number_builds(asked, upstream.update(text, first).lock, first)
    tomorrow = trio("2.16.0.dev20261122", "0.30.0.dev20261122", "2.11.0.dev20261122", label="cpu")
    upstream.put("whl/nightly/cpu", *tomorrow)
    third = number_builds(asked, upstream.update(text, second).lock, second)
    assert {c.line: c.candidate and c.candidate.number for c in third.cells} == {
        "nightly": 1,
        f"nightly-{DAY}": 2,
    }
    assert third.builds[f"nightly-{DAY}/pytorch"].number == 1
    assert third.builds["nightly/pytorch"].number == 0


def test_a_nightly_that_changed_since_the_lock_is_not_fetched(upstream: World) -> None:
    upstream.put("whl/nightly/cpu", *nightly())
    wheel = only(upstream.update(NIGHTLY).lock).wheels[0]
    upstream.put("whl/nightly/cpu", *nightly(changed=True))
    url = f"{upstream.files.root}/whl/nightly/cpu/{wheel.filename.replace('+', '%2B')}"
    with pytest.raises(IntegrityError, match=wheel.sha256):
        fetch([wheel], locate=lambda _: url, root=upstream.folder / "w", narrator=Heard(), jobs=1)
    assert not list((upstream.folder / "w").rglob("*.whl"))


@pytest.mark.parametrize("etag", [True, False])
def test_a_first_fetch_that_breaks_off_resumes_only_what_is_the_same_file(
    upstream: World, etag: bool
) -> None:
    torch = nightly()[0]
    big = replace(
        torch, members={**torch.members, "torch/big": random.Random(7).randbytes(1 << 20)}
    )
    path = big.write(upstream.wheels / "whl/nightly/cpu")
    upstream.files.behaviour.etag = etag
    upstream.files.behaviour.truncate = 2
    url = f"{upstream.files.root}/whl/nightly/cpu/{path.name.replace('+', '%2B')}"
    root = upstream.folder / "w"
    if not etag:  # nothing tells the pieces apart, so it starts over each time
        with pytest.raises(UnreachableError):
            obtain(root, url, path.name, path.stat().st_size)
    sha256, place = obtain(root, url, path.name, path.stat().st_size)
    assert place.read_bytes() == path.read_bytes()
    assert place.parent.name == sha256[:16]
    statuses = {code for _, code in upstream.files.log}
    assert statuses == ({200, 206} if etag else {200})


def test_a_wheel_that_is_longer_than_its_server_said_is_not_kept(upstream: World) -> None:
    (path, *_) = [w.write(upstream.wheels / "whl/nightly/cpu") for w in nightly()]
    url = f"{upstream.files.root}/whl/nightly/cpu/{path.name.replace('+', '%2B')}"
    with pytest.raises(IntegrityError, match="longer"):
        obtain(upstream.folder / "w", url, path.name, path.stat().st_size - 10)
    assert not [p for p in (upstream.folder / "w").rglob("*") if p.suffix in {".whl", ".part"}]


def test_a_candidate_with_the_final_name_is_numbered_and_dated(upstream: World) -> None:
    upstream.put("whl/cpu", *trio("2.14.1", "0.29.1", "2.9.0", label="cpu"))
    candidate = trio("2.15.0", "0.29.2", "2.11.0", label="cpu")
    upstream.put("whl/test/cpu", *candidate)
    names = [wheel.filename for wheel in candidate]
    upstream.pytorch.uploaded = dict.fromkeys(names, "2026-11-02T08:00:00Z")
    asked = read_feedstock(upstream.project(RC).feedstock)
    first = number_builds(asked, upstream.update(RC).lock, None)
    found = cells(first)
    assert set(found) == {"2.14/linux-aarch64/cpu", "rc/linux-aarch64/cpu"}
    rc = found["rc/linux-aarch64/cpu"]
    assert rc.candidate == Candidate(number=1, date="2026-11-02")
    assert {w.uploaded for w in rc.wheels} == {"2026-11-02T08:00:00Z"}
    assert {w.hash_origin for w in rc.wheels} == {"index"}
    assert {w.uploaded for w in found["2.14/linux-aarch64/cpu"].wheels} == {""}

    upstream.put("whl/test/cpu", *map(with_more, candidate))
    upstream.pytorch.uploaded = dict.fromkeys(names, "2026-11-09T08:00:00Z")
    outcome = upstream.update(RC, first)
    assert outcome.findings == ()
    rc = cells(outcome.lock)["rc/linux-aarch64/cpu"]
    assert rc.candidate == Candidate(number=2, date="2026-11-09")
    assert number_builds(asked, outcome.lock, first).builds["rc/pytorch"].number == 1

    upstream.put("whl/cpu", *map(with_more, candidate))  # released: a candidate no more
    final = upstream.update(RC, outcome.lock).lock
    assert set(cells(final)) == {"2.15/linux-aarch64/cpu"}
    (absent,) = final.absent
    assert (absent.train, absent.reason) == ("rc", "absent")
    assert "not released yet" in absent.detail


def test_a_stable_wheel_with_new_bytes_is_tampering_and_nothing_is_written(
    upstream: World,
) -> None:
    stable(upstream)
    lock = upstream.update(STABLE).lock
    name = "torch-2.15.0+cpu-cp312-cp312-manylinux_2_28_aarch64.whl"
    wheel = trio("2.15.0", "0.29.2", "2.11.0", label="cpu")[0]
    assert wheel.filename == name
    upstream.put("whl/cpu", with_more(wheel))
    with pytest.raises(IntegrityError, match="tampering") as caught:
        upstream.update(STABLE, lock)
    assert name in str(caught.value)
    assert caught.value.exit_code == 13


def test_one_file_with_two_hashes_is_left_out_and_named(upstream: World) -> None:
    stable(upstream)
    name = "torchaudio-2.11.0+cpu-cp312-cp312-manylinux_2_28_aarch64.whl"
    upstream.pytorch.twice = {name: "e" * 64}
    outcome = upstream.update(STABLE)
    assert outcome.findings == ()
    cell = cells(outcome.lock)["2.15/linux-aarch64/cpu"]
    assert "torchaudio" not in cell.trio
    assert any(a.package == "torchaudio" and "two hashes" in a.detail for a in cell.absent)
    assert any("e" * 64 in a.detail and name in a.detail for a in cell.absent)
    # what the lock knew before the index became unclear stays
    upstream.pytorch.twice = {}
    good = upstream.update(STABLE).lock
    upstream.pytorch.twice = {name: "e" * 64}
    outcome = upstream.update(STABLE, good)
    kept = cells(outcome.lock)["2.15/linux-aarch64/cpu"]
    assert replace(kept, held=()) == cells(good)["2.15/linux-aarch64/cpu"]
    (row,) = kept.held
    assert (row.project, row.kind, row.instead) == ("torchaudio", "malformed", row.version)
    assert "e" * 64 in row.detail


def test_an_index_that_is_down_concerns_its_own_cells_only(upstream: World) -> None:
    stable(upstream)
    old = upstream.update(STABLE).lock
    cpu = trio("2.15.1", "0.29.3", "2.11.1", label="cpu")
    upstream.put("whl/cpu", *cpu)
    upstream.put("whl/cu130", *trio("2.15.1", "0.29.3", "2.11.1", label="cu130",
                                    accelerator="cuda130"))  # fmt: skip
    upstream.pages.behaviour.failures = deque([Failure(503)] * 99)
    upstream.pages.behaviour.failing = "/whl/cu130/.*"
    outcome = upstream.update(STABLE, old, today="2026-11-25")
    found = cells(outcome.lock)
    assert found["2.15/linux-aarch64/cpu"].torch == "2.15.1"
    silent = found["2.15/linux-aarch64/cuda130"]
    assert (silent.torch, silent.unreachable_since) == ("2.15.0", "2026-11-25")
    assert found["2.15/linux-aarch64/cpu"].unreachable_since == ""
    assert outcome.findings == ()
    assert [(each.index, type(each.error)) for each in outcome.silent] == [
        ("torch-cu130", UnreachableError)
    ]
    nothing = upstream.update(STABLE).lock
    assert [(a.accelerator, a.reason) for a in nothing.absent] == [("cuda130", "unreachable")]
