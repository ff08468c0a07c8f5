"""The rows of packages.yaml, and which libraries of bitsandbytes a cell has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.errors import DataError
from generator.inspecting.read_wheel import pattern
from generator.lock.consistency import inconsistencies
from generator.model import Accelerator
from generator.packages import packages
from generator.rendering.layout import layout_of
from tests.locks import Shelf, cpu_cell
from tests.other_data import copy_data, other_data

#: what bitsandbytes 0.50.2 has
CUDA = ("118", "121", "124", "126", "128", "130", "132")


@pytest.mark.parametrize(
    ("accelerator", "kept"),
    [
        ("cpu", set()),
        ("cuda126", {"126"}),
        ("cuda126-tegra", {"126"}),
        # by bitsandbytes' own choice: the newest of the major that is not newer than torch's
        ("cuda129", {"128"}),
        ("cuda130", {"130"}),
        ("cuda131", {"130"}),
        ("cuda132", {"132"}),
        ("cuda134", {"132"}),
    ],
)
def test_a_cell_has_the_library_that_bitsandbytes_opens_there(
    accelerator: str, kept: set[str]
) -> None:
    place = "linux-aarch64", Accelerator.parse(accelerator)
    rules = [each for each in layout_of("bitsandbytes").rules if each.fits("0.50.2", *place)]

    def stays(member: str) -> bool:
        found = (r for r in rules if any(pattern(glob).fullmatch(member) for glob in r.match))
        return next(found).keep

    folder = "bitsandbytes/libbitsandbytes"
    assert {line for line in CUDA if stays(f"{folder}_cuda{line}.so")} == kept
    assert stays(f"{folder}_cpu.so")


def _changed(change: Callable[[dict[str, Any]], None]) -> Callable[[str, object], object]:
    def done(name: str, content: object) -> object:
        if name != "packages.yaml":
            return content
        assert isinstance(content, dict)
        rows = {key: dict(row) for key, row in content["packages"].items()}
        change(rows)
        return {**content, "packages": rows}

    return done


def test_what_torch_asks_for_is_built_before_it_wherever_its_row_is(tmp_path: Path) -> None:
    def last(rows: dict[str, Any]) -> None:
        rows["triton"] = rows.pop("triton")

    with other_data(copy_data(tmp_path / "data", _changed(last))):
        assert next(iter(packages())) == "triton"


def test_a_package_of_wheels_names_its_project(tmp_path: Path) -> None:
    def nameless(rows: dict[str, Any]) -> None:
        rows["mine"] = {"made": "python"}

    data = copy_data(tmp_path / "data", _changed(nameless))
    with (
        other_data(data),
        pytest.raises(DataError, match=r"packages\.mine is made once per python"),
    ):
        packages()


@pytest.mark.parametrize("name", ["nobodys", "torchaudio"])
def test_a_lock_has_no_companion_without_a_row(name: str) -> None:
    shelf = Shelf()
    lock = shelf.lock(replace(cpu_cell(shelf), fill={name: "1.0"}))
    assert f"it has {name}, and packages.yaml has no row" in next(inconsistencies(lock))
