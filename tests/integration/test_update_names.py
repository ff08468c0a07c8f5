"""Requirements that no row knows: the base channel is asked, and its silence stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.feedstock import SubdirWish
from generator.updating.name_judge import NameJudge
from tests import tiny_repodata
from tests.index_server import IndexServer
from tests.integration.updating import Heard, feedstock, run_update
from tests.tiny_wheels import tiny_torch

pytestmark = pytest.mark.integration


def updated(folder: Path, base: str, newest: tuple[str, ...]) -> tuple[str, list[str], list[str]]:
    """Update from torch 2.9.1 and a 2.10.0 with these requirements: version, held, warnings."""
    shelf = folder / "wheels"
    tiny_torch("2.9.1", "cp311").write(shelf)
    tiny_torch("2.10.0", "cp311", requires=newest).write(shelf)
    subdirs = {"linux-aarch64": SubdirWish(accelerators=("cpu",), base=(base,))}
    asked = feedstock(packages=("torch",), subdirs=subdirs)
    heard = Heard()
    with IndexServer(shelf) as server:
        found = run_update(
            server,
            folder,
            asked=asked,
            heard=heard,
            judge=lambda reader: NameJudge(feedstock=asked, reader=reader, narrator=heard),
        )
    (cell,) = found.lock.cells
    held = [*cell.held, *found.lock.held]
    return cell.torch, [f"{row.kind}: {row.detail}" for row in held], heard.warned


def base_of(folder: Path, *names: str) -> str:
    rows = [tiny_repodata.record(name, "1.0", subdir="noarch") for name in names]
    return tiny_repodata.write(folder / "base", {"noarch": rows, "linux-aarch64": []})


def test_what_the_base_channel_has_under_its_own_name_is_taken(tmp_path: Path) -> None:
    base = base_of(tmp_path, "opt-einsum")
    assert updated(tmp_path, base, ("filelock", "Opt_Einsum>=3.3"))[:2] == ("2.10.0", [])


def test_what_the_base_channel_lacks_holds_the_release(tmp_path: Path) -> None:
    base = base_of(tmp_path, "python")
    torch, (held,), _ = updated(tmp_path, base, ("filelock", "opt-einsum"))
    assert torch == "2.9.1"
    assert held.startswith("dependency: it requires opt-einsum, which ")


def test_what_does_not_hold_on_the_target_asks_nobody(tmp_path: Path) -> None:
    requires = ("filelock", 'opt-einsum; platform_machine == "x86_64"')
    assert updated(tmp_path, base_of(tmp_path, "python"), requires) == ("2.10.0", [], [])


def test_a_base_channel_that_does_not_answer_stops_nothing(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/conda-forge"
    torch, held, warned = updated(tmp_path, nobody, ("opt-einsum", "einops"))
    assert (torch, held) == ("2.10.0", [])
    assert any("cannot be asked for" in each for each in warned)


def test_an_ordinary_update_asks_nobody(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/conda-forge"
    assert updated(tmp_path, nobody, ("filelock", "typing-extensions", "numpy"))[2] == []
