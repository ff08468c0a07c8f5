"""The small decisions of the building room."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from generator.building import BuildReport, Row, Savings
from generator.building.policy import policy
from generator.errors import AbsentError, BuildError, StorageError
from generator.upstream.archive import newest
from tests.tiny_recipes import wheel_of


def wheel(path: Path, *dates: tuple[int, int, int, int, int, int]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, date in enumerate(dates):
            archive.writestr(zipfile.ZipInfo(f"member{number}", date), b"")
    return path


def timestamp(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return newest(archive.infolist())


def test_the_timestamp_is_the_newest_members(tmp_path: Path) -> None:
    old = wheel(tmp_path / "a", (2020, 1, 1, 0, 0, 0), (2019, 5, 5, 5, 5, 4))
    new = wheel(tmp_path / "b", (1980, 1, 1, 0, 0, 0), (2026, 1, 2, 3, 4, 6))
    assert timestamp(old) == 1577836800000
    assert timestamp(new) == 1767323046000
    locked = [
        replace(wheel_of(f"a-1-cp312-cp312-any{number}.whl", b""), timestamp=timestamp(path))
        for number, path in enumerate((old, new))
    ]
    rules = policy().seal
    assert rules.timestamp(locked) == 1767323046000
    assert rules.timestamp(()) == rules.timestamp_without_wheel


def test_a_date_that_is_none_is_skipped(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a", (1980, 1, 1, 0, 0, 0), (2020, 1, 1, 0, 0, 0))
    content = path.read_bytes().replace(b"\x21\x50", b"\x00\x50")  # 1 Jan 2020 -> month 0, day 0
    path.write_bytes(content)
    assert timestamp(path) == 315532800000


def test_the_fetch_policy_backs_off_to_a_limit() -> None:
    rules = policy().fetch
    delays = [rules.delay(attempt) for attempt in range(1, 20)]
    assert delays[0] == rules.first_delay
    assert delays[1] == 2 * rules.first_delay
    assert delays == sorted(delays)
    assert delays[-1] == rules.longest_delay


@pytest.mark.parametrize("level", range(1, 23))
def test_there_is_always_a_thread(level: int) -> None:
    rules = policy().seal
    assert rules.threads_for(level, 1) == 1
    assert 1 <= rules.threads_for(level, 64) <= 4


def built(name: str, size: int, wheels: dict[str, int]) -> Row:
    return Row(
        id=f"1.0/{name}/x",
        subdir="linux-aarch64",
        status="built",
        file_name=f"{name}.conda",
        size=size,
        wheels=wheels,
    )


def test_savings_count_each_file_once() -> None:
    report = BuildReport(
        (
            built("libtorch", 65, {"a": 146}),
            built("pytorch", 15, {"a": 146}),
            built("pytorch2", 15, {"b": 147}),
            built("cpuonly", 1, {}),
        )
    )
    assert report.savings() == Savings(packages=96, wheels=293)
    assert report.savings().ratio == pytest.approx(96 / 293)
    assert Savings(1, 0).ratio == 0.0


def failed(name: str, error: StorageError | BuildError | AbsentError) -> Row:
    return Row(id=name, subdir="x", status="failed", error=error)


def test_failures_are_raised_as_what_they_are() -> None:
    full, gone = StorageError("full", next_step="free some"), AbsentError("gone")
    BuildReport((built("a", 1, {}),)).raise_for_failures()
    with pytest.raises(StorageError, match="full") as one:
        BuildReport((failed("a", full), built("b", 1, {}))).raise_for_failures()
    assert one.value is full
    with pytest.raises(StorageError, match="2 of 2"):
        BuildReport((failed("a", full), failed("b", full))).raise_for_failures()
    with pytest.raises(BuildError, match="2 of 2"):
        BuildReport((failed("a", full), failed("b", gone))).raise_for_failures()
    assert BuildReport((failed("a", full),)).to_json()["variants"][0]["error"] == {
        "kind": "storage",
        "what": "full",
        "where": "",
        "next": "free some",
    }
