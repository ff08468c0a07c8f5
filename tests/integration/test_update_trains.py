"""Trains beside stable, and lines that name one."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.errors import FeedstockError
from generator.feedstock import TrainPolicy
from tests.integration.updating import (
    feedstock,
    first_lock,
    legacy,
    run_update,
    upstream_of_2026,
)
from tests.tiny_wheels import tiny_torch

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    upstream_of_2026(folder)
    return folder


def test_a_release_candidate_is_of_its_own_train(folder: Path, tmp_path: Path) -> None:
    for version in ("2.16.0rc1", "2.16.0.dev20261101"):
        tiny_torch(version, "cp312").write(folder)
    trains = {"rc": TrainPolicy(keep=("newest",)), "stable": TrainPolicy(keep=("newest",))}
    lock = first_lock(folder, tmp_path, trains=trains)
    assert [(c.name, c.torch) for c in lock.cells if c.train == "rc"] == [
        ("rc/linux-aarch64/cpu", "2.16.0rc1")
    ]
    assert sorted(c.line for c in lock.cells if c.train == "stable") == ["2.10", "2.15"]


def test_a_nightly_is_a_line_of_that_name(folder: Path, tmp_path: Path) -> None:
    tiny_torch("2.16.0.dev20261101", "cp312").write(folder)
    tiny_torch("2.16.0.dev20261102", "cp312").write(folder)
    lock = first_lock(folder, tmp_path, trains={"nightly": TrainPolicy(keep=("newest",))})
    assert [(c.name, c.train, c.torch) for c in lock.cells] == [
        ("nightly/linux-aarch64/cpu", "nightly", "2.16.0.dev20261102")
    ]


def test_a_line_of_a_train_that_is_not_declared_is_a_feedstock_error(tmp_path: Path) -> None:
    asked = feedstock(trains={"rc": TrainPolicy()}, lines=(legacy(),))
    with pytest.raises(FeedstockError, match="legacy"):
        run_update(None, tmp_path, asked=asked, urls={"pip": "file:///none"})
