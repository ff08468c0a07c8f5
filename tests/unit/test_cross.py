from __future__ import annotations

import pytest

from generator.errors import MissingToolError
from tests.conftest import missing
from tests.cross import find_cross_tools


def test_what_is_missing_is_named_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="aarch64-linux-gnu-gcc") as caught:
        find_cross_tools()
    assert "make emulator" in str(caught.value)


def test_what_is_there_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "cmake"):
        (tmp_path / name).touch(mode=0o755)
    assert find_cross_tools().cmake == tmp_path / "cmake"


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip), ("true", pytest.fail)])
def test_a_missing_tool_skips_here_and_fails_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="no emulator"):
        missing("no emulator")
