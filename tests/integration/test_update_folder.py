"""A folder as an index: what is not mounted is down, not empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.errors import UnreachableError
from generator.feedstock import IndexSource
from tests.integration.updating import TODAY, feedstock, run_update, upstream_of_2026

pytestmark = pytest.mark.integration


def test_a_folder_that_is_not_there_keeps_the_lock(tmp_path: Path) -> None:
    share = tmp_path / "share"
    upstream_of_2026(share)
    asked = feedstock(IndexSource(kind="folder", url=str(share)))
    urls = {"pip": "unused"}
    old = run_update(None, tmp_path, asked=asked, urls=urls).lock
    assert old.cells
    share.rename(tmp_path / "elsewhere")
    outcome = run_update(None, tmp_path, asked=asked, urls=urls, old=old)
    assert [cell.name for cell in outcome.lock.cells] == [cell.name for cell in old.cells]
    assert {cell.unreachable_since for cell in outcome.lock.cells} == {TODAY}
    (finding,) = outcome.findings
    assert isinstance(finding, UnreachableError)
    assert str(share) in str(finding)
    assert "mount or make it" in finding.next_step
