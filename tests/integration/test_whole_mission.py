"""Everything that feedstock.yaml is for, from servers that have all of it: cells, and solves."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from generator.building import BuildReport
from generator.channel import LocalChannel
from generator.ci.against_base import against_base
from generator.datafiles import subdirs
from generator.errors import MissingToolError, SolveError
from generator.feedstock import read_feedstock
from generator.matrix import METAPACKAGES, Selection, matrix_view, select
from generator.model import Cell, Lock, Pythons, Variant
from generator.project import Project
from generator.rendering import render, templates, tree_records
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.test import RunOptions, run_tests
from generator.stages.update import update_lock
from generator.testing import Machine, Runner, solve, write_record_channel
from tests import forge
from tests.command_line import armtorch
from tests.counts import count, proving
from tests.cross import CrossTools, find_cross_tools
from tests.forge import ForgeChannel, standins
from tests.index_server import Failure
from tests.integration.index_worlds import World, world
from tests.integration.missions import CELLS, DEV, NEWEST, fill, project_of
from tests.integration.runnable import extension, templates_with_own_tests, write_libraries
from tests.integration.small_base import write_base
from tests.integration.updating import run_update

pytestmark = pytest.mark.integration

TRIO = ("torch", "torchvision", "torchaudio")
CONDA_TRIO = ("pytorch", *TRIO[1:])
TABLE = Path(__file__).with_name("solved_commands.yaml")
#: what answers no more -> the cells that are of it and stay
DOWN = {
    "/simple/.*": "pypi",
    "/whl/cpu/.*": "whl-cpu",
    "/whl/torch/": "whl-cu*",
    "/whl/cu126/.*": "whl-cu126",
    "/whl/cu130/.*": "whl-cu130",
    "/whl/cu132/.*": "whl-cu132",
    "/whl/test/cpu/.*": "test-cpu",
    "/whl/test/torch/": "test-cu*",
    "/whl/nightly/cpu/.*": "nightly-cpu",
    "/whl/nightly/torch/": "nightly-cu*",
    "/jp6/.*": "jetson-6",
    "/sbsa/.*": "jetson-sbsa",
    "/jp7/.*": "jetson-7",
    "/nvtorch_oot/.*": "nvidia-windows",
    "/(whl|jp6|sbsa|jp7|nvtorch_oot)/.*": "all but pypi",
}


@dataclass(frozen=True)
class Mission:
    upstream: World
    project: Project
    lock: Lock

    def again(self, old: Lock | None) -> Lock:
        """Update without writing, from the facts of wheels that are known."""
        asked = read_feedstock(self.project.feedstock)
        cache = self.project.cache
        return run_update(self.upstream.pages, cache, old=old, asked=asked).lock


@pytest.fixture(scope="module")
def mission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    folder = tmp_path_factory.mktemp("mission")
    own = templates_with_own_tests(folder / "templates")
    try:
        module = extension(find_cross_tools().gcc, folder)
    except MissingToolError:
        module = b""  # what runs them skips itself
    with world(folder) as upstream, pytest.MonkeyPatch.context() as patched:
        patched.setattr(templates, "folder", lambda: own)
        fill(upstream, module)
        project = project_of(upstream)
        result = update_lock(project)
        assert (result.findings, result.silent) == ((), ())
        yield Mission(upstream, project, result.lock)


@pytest.fixture(scope="module")
def channel(mission: Mission, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be on our channel and its labels, as records."""
    folder = tmp_path_factory.mktemp("channel")
    tree = render(mission.project.declared(), mission.lock)
    records = tree_records(tree)
    for train, place in (("stable", "."), ("rc", "label/rc"), ("nightly", "label/nightly")):
        own = [records[v.id] for v in tree.variants if v.train == train or v.subdir == "noarch"]
        write_record_channel(own, folder / place)
    return folder


def named(lock: Lock) -> dict[str, Cell]:
    return {cell.name: cell for cell in lock.cells}


def test_every_cell_of_the_table_is_there_and_complete(mission: Mission) -> None:
    found = named(mission.lock)
    assert {name: cell.torch for name, cell in found.items()} == CELLS
    assert [name for name, cell in found.items() if set(cell.trio) != {*TRIO}] == []
    assert mission.lock.all_held() == ()


def test_a_nightly_takes_torchaudio_from_stable_where_symbols_prove_it(mission: Mission) -> None:
    for name, cell in named(mission.lock).items():
        if cell.train == "nightly":
            assert tuple(cell.versions[project] for project in TRIO) == DEV, name
            indexes = {wheel.index for wheel in cell.wheels_of("torchaudio")}
            assert all(index.startswith("whl-") for index in indexes), name
    rc = named(mission.lock)["rc/linux-aarch64/cpu"]
    assert [str(python) for python in rc.pythons()] == ["3.13", "3.15"]


@pytest.mark.parametrize("pattern", list(DOWN)[:: max(1, len(DOWN) // count("indexes_down"))])
def test_each_index_down_in_turn_loses_nothing(mission: Mission, pattern: str) -> None:
    behaviour, name = mission.upstream.pages.behaviour, DOWN[pattern]
    behaviour.failures, behaviour.failing = deque([Failure(503)] * 9999), pattern
    try:
        lock = mission.again(mission.lock)
        first = mission.again(None)
    finally:
        behaviour.failures.clear()
    assert {c.name: c.trio for c in lock.cells} == {c.name: c.trio for c in mission.lock.cells}
    touched = {cell.name for cell in lock.cells if cell.unreachable_since}
    assert name in {*lock.silent, "all but pypi"}
    for cell in lock.cells:
        own = {wheel.index for wheel in cell.wheels}
        of = {index for index in own if _is_of(name, index)}
        assert (cell.name in touched) is bool(of), cell.name
    # who has no lock yet gets what the others have
    served = {cell.name: cell.torch for cell in first.cells}
    if name == "all but pypi":
        assert served == {
            "2.10/linux-aarch64/cpu": "2.10.0",
            "2.15/linux-aarch64/cuda132": "2.15.0",
            "2.15/osx-arm64/cpu": NEWEST[0],
        }
    else:
        whole = {cell.name for cell in mission.lock.cells if cell.name not in touched}
        assert whole <= set(served)


def _is_of(name: str, index: str) -> bool:
    if name == "all but pypi":
        return index != "pypi"
    return index.startswith(name.removesuffix("*")) if name.endswith("*") else index == name


COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "conda install pytorch torchvision torchaudio cpuonly -c CHANNEL": (("cpuonly",), ()),
    "conda install pytorch torchvision torchaudio -c CHANNEL": ((), ()),
    "conda install pytorch torchvision torchaudio -c CHANNEL/label/nightly -c CHANNEL": (
        (),
        ("label/nightly",),
    ),
    "conda install pytorch torchvision torchaudio -c CHANNEL/label/rc -c CHANNEL": (
        (),
        ("label/rc",),
    ),
}
MACHINES = {
    "linux-aarch64": "__glibc=2.39",
    "linux-aarch64 with CUDA 13.2": "__cuda=13.2",
    "osx-arm64": "__osx=15.0",
    "win-arm64, base with Python 3.14 alone": "",
    "win-arm64, base with Python 3.13": "",
}


def solved(channel: Path, bases: dict[str, str]) -> dict[str, dict[str, str]]:
    """Solve every command for every machine, and say what it brings."""
    table: dict[str, dict[str, str]] = {}
    for command, (more, labels) in COMMANDS.items():
        row = table[command] = {}
        for machine, virtual in MACHINES.items():
            subdir = machine.split()[0].rstrip(",")
            added = [virtual] if virtual else []
            if "cuda" in virtual:
                added.append("__glibc=2.39")
            places = [(channel / label).as_uri() for label in labels]
            try:
                records = solve(
                    ["pytorch", "torchvision", "torchaudio", *more],
                    channels=[*places, channel.as_uri(), bases[machine]],
                    machine=Machine.of(subdirs()[subdir], native=False, added=added),
                )
            except SolveError:
                row[machine] = "blocked by base"
                continue
            by_name: dict[str, Any] = {r.name.normalized: r for r in records}
            own = [by_name[n] for n in ("pytorch", "torchvision", "torchaudio")]
            built = str(own[0].build).partition("_")[0]
            row[machine] = f"{', '.join(str(r.version) for r in own)} ({built})"
    return table


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The base channel of each machine, as records."""
    folder = tmp_path_factory.mktemp("bases")
    found = dict.fromkeys(MACHINES, standins.write(folder / "forge"))
    for version, name in (("3.14", "Python 3.14 alone"), ("3.13", "Python 3.13")):
        base = write_base(folder / version, "win-arm64", [version])
        found[f"win-arm64, base with {name}"] = base
    return found


def test_the_commands_solve_as_the_committed_table_says(
    channel: Path, bases: dict[str, str]
) -> None:
    assert solved(channel, bases) == YAML(typ="safe").load(TABLE)


def test_windows_on_a_base_without_its_pythons_is_blocked_by_base(
    mission: Mission, tmp_path: Path
) -> None:
    feedstock, lock = mission.project.declared(), mission.lock
    view = matrix_view(feedstock, lock)
    windows = [cell for cell in view.cells if cell.name == "2.13/win-arm64/cpu"]
    view = replace(view, cells=tuple(windows))
    for python, blocked in (("3.14", True), ("3.13", False)):
        base = write_base(tmp_path / python, "win-arm64", [python])
        (cell,) = against_base(mission.project, view, base=(base,)).cells
        assert cell.base is not None
        by = {spec for row in cell.base.blocked for spec in row.by}
        assert ("python_abi 3.13.* *_cp313" in by) is blocked
        assert cell.base.no_python == (("3.13",) if blocked else ())
    # of two bases the first one with a Python decides (strict priority), and who has it is said
    for pythons, whole in ((("3.13", "3.14"), True), (("3.14", "3.13"), False)):
        bases = tuple(str(tmp_path / python) for python in pythons)
        (cell,) = against_base(mission.project, view, base=bases).cells
        assert cell.base is not None
        assert (cell.base.blocked == ()) is whole
        has = {python: channel.rpartition("/")[2] for python, channel in cell.base.pythons.items()}
        assert has == ({} if whole else {"3.13": "3.13"})


def test_matrix_says_in_a_sentence_what_no_base_of_windows_has(
    mission: Mission, tmp_path: Path
) -> None:
    base = write_base(tmp_path, "win-arm64", ["3.14"])
    done = armtorch("--feedstock", mission.project.feedstock, "matrix", "--against-base",
                    "--base", base)  # fmt: skip
    assert done.returncode == SolveError.exit_code
    assert "no base channel has a Python 3.13 for win-arm64" in done.stdout
    assert "subdirs.win-arm64.base" in done.stdout


def built(mission: Mission, chosen: Sequence[Variant]) -> LocalChannel:
    """Render and build some variants, into the channel that all tests here build into."""
    render_feedstock(mission.project)
    channel = LocalChannel(mission.upstream.folder / "channel")
    options = BuildOptions(channel=channel, jobs=2, level=1)
    report: BuildReport = build_variants(mission.project, chosen, options)
    report.raise_for_failures()
    assert {row.id for row in report.rows} == {variant.id for variant in chosen}
    return channel


#: the cells that ARM Linux can run, what differs most from the others first
RUN = sorted(
    (name for name in CELLS if "/linux-aarch64/" in name),
    key=lambda name: ("tegra" not in name, not name.startswith("nightly/"), name),
)


@pytest.mark.emulated
@pytest.mark.parametrize("name", RUN[: count("emulated_cells")])
def test_every_package_of_a_cell_for_arm_linux_is_installed_and_runs(
    mission: Mission, runner: Runner, tools: CrossTools, base: ForgeChannel, tmp_path: Path,
    name: str,
) -> None:  # fmt: skip
    """With CUDA's libraries by their names: what finds them is the packages' own links."""
    line, subdir, accelerator = name.split("/")
    tree = render(mission.project.declared(), mission.lock)
    wanted = Selection(
        lines=(line, METAPACKAGES),
        subdirs=(subdir,),
        accelerators=(accelerator,),
        pythons=Pythons.parse(["3.13"]),
    )
    chosen = select(tree.variants, wanted)
    channel = built(mission, chosen)
    records = tree_records(tree)
    libraries = write_libraries(tmp_path, (records[each.id] for each in chosen), base)
    options = RunOptions(
        channel=channel, base=(libraries, base.url), sysroot=forge.sysroot(), must_run=True
    )
    tested = [each for each in chosen if proving() or each.package in CONDA_TRIO]
    reports = run_tests(mission.project, tested, options)
    failed = [f"{r.package}: {s.name}: {s.output}" for r in reports for s in r.steps if s.output]
    assert failed == []
    steps = {(r.package.split("-")[0], s.name): s.outcome for r in reports for s in r.steps}
    programs = {("pytorch", step) for step in ("import torch", "pip check", "torchrun --help")}
    programs |= {(name, "python smoke.py") for name in CONDA_TRIO}
    assert programs <= steps.keys()
    assert set(steps.values()) == {"passed"}
    assert all("emulated" in report.how for report in reports)


@pytest.mark.skipif(not proving(), reason="every package of every cell: make prove")
def test_every_cell_is_built_and_the_commands_solve_on_that(
    mission: Mission, bases: dict[str, str]
) -> None:
    tree = render(mission.project.declared(), mission.lock)
    channel = built(mission, tree.variants)
    assert solved(channel.root, bases) == YAML(typ="safe").load(TABLE)
    shutil.rmtree(channel.root)
