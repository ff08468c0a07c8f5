"""Everything that feedstock.yaml is for, from servers that have all of it: cells, and solves."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
from generator.explaining import boards, lines_of, look, serves
from generator.explaining.answering import ExplainOptions, Reach, check_machine, explain_request
from generator.explaining.computer import is_tegra, jetpack_of
from generator.feedstock import read_feedstock
from generator.matrix import METAPACKAGES, Selection, matrix_view, select
from generator.model import Cell, Lock, Pythons, Variant
from generator.model.python_build import not_on_base
from generator.page.gathering import Check, page_content, solvability
from generator.project import Project
from generator.rendering import render, templates, tree_records
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.test import RunOptions, run_tests
from generator.stages.update import update_lock
from generator.testing import Machine, Runner, solve, write_record_channel
from tests import computers, forge
from tests.command_line import armtorch
from tests.counts import count, proving
from tests.cross import CrossTools, find_cross_tools
from tests.forge import ForgeChannel, standins
from tests.index_server import Failure
from tests.integration.index_worlds import World, world
from tests.integration.missions import (
    CELLS,
    COMMANDS,
    DEV,
    DOWN,
    MACHINES,
    NEWEST,
    WINDOWS_BASES,
    fill,
    is_of,
    project_of,
)
from tests.integration.runnable import extension, templates_with_own_tests, write_libraries
from tests.integration.small_base import write_base
from tests.integration.updating import run_update
from tests.integration.whole_base import write_whole_base

pytestmark = pytest.mark.integration

TRIO = ("torch", "torchvision", "torchaudio")
CONDA_TRIO = ("pytorch", *TRIO[1:])
TABLE = Path(__file__).with_name("solved_commands.yaml")


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
        of = {index for index in own if is_of(name, index)}
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


def solved(channel: Path, bases: dict[str, str]) -> dict[str, dict[str, str]]:
    """Solve every command for every machine, and say what it brings."""
    table: dict[str, dict[str, str]] = {}
    for command, (more, labels) in COMMANDS.items():
        row = table[command] = {}
        for machine, virtual in MACHINES.items():
            subdir = machine.split()[0].rstrip(",")
            places = [(channel / label).as_uri() for label in labels]
            try:
                records = solve(
                    ["pytorch", "torchvision", "torchaudio", *more],
                    channels=[*places, channel.as_uri(), bases[machine]],
                    machine=Machine.of(subdirs()[subdir], native=False, added=virtual),
                )
            except SolveError:
                there = (channel / subdir).is_dir()
                row[machine] = "blocked by base" if there else "no wheel anywhere"
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
    windows = {
        name: write_base(folder / name, "win-arm64", pythons)
        for name, pythons in WINDOWS_BASES.items()
    }
    found = dict.fromkeys(MACHINES, standins.write(folder / "forge"))
    for machine in MACHINES:
        found[machine] = windows.get(machine.partition("base with ")[2], found[machine])
    return found


def test_the_commands_solve_as_the_committed_table_says(
    channel: Path, bases: dict[str, str]
) -> None:
    assert solved(channel, bases) == YAML(typ="safe").load(TABLE)


PYTHONS = WINDOWS_BASES["Python 3.11 to 3.13"]
WITHOUT, WITH = (f"win-arm64, base with {name}" for name in WINDOWS_BASES)


def test_windows_on_a_base_without_its_pythons_is_blocked_by_base(
    mission: Mission, bases: dict[str, str]
) -> None:
    view = matrix_view(mission.project.declared(), mission.lock)
    windows = [cell for cell in view.cells if cell.name == "2.13/win-arm64/cpu"]
    view = replace(view, cells=tuple(windows))
    # of two bases the first one with a Python decides (strict priority), and who has it is said
    for names, whole, has in (
        ((WITHOUT,), False, ""),
        ((WITH,), True, ""),
        ((WITH, WITHOUT), True, ""),
        ((WITHOUT, WITH), False, bases[WITH]),
    ):
        (cell,) = against_base(mission.project, view, base=tuple(bases[n] for n in names)).cells
        assert cell.base is not None
        assert (cell.base.blocked == ()) is whole
        assert cell.base.pythons == ({} if whole else dict.fromkeys(PYTHONS, has))


def test_what_no_base_of_windows_has_is_one_sentence_of_matrix_explain_and_page(
    mission: Mission, channel: Path, bases: dict[str, str]
) -> None:
    done = armtorch("--feedstock", mission.project.feedstock, "matrix", "--against-base",
                    "--base", bases[WITHOUT])  # fmt: skip
    assert done.returncode == SolveError.exit_code
    assert not_on_base(PYTHONS, "win-arm64") in done.stdout
    assert "subdirs.win-arm64.base" in done.stdout
    local, declared = LocalChannel(channel), mission.project.declared()

    def on_windows(base: str) -> Check:
        check = solvability(declared, local, (base,))
        return lambda offer: check(offer) if offer.machine == "win-arm64" else ""

    for machine, said, state in ((WITHOUT, True, "blocked"), (WITH, False, "here")):
        places = f"-c {channel.as_uri()} -c {bases[machine]} --override-channels"
        text = f"conda install pytorch torchvision torchaudio {places}"
        answer = explain_request(mission.project, text, ExplainOptions(subdir="win-arm64"))
        assert answer.outcome == ("fails" if said else "works")
        lines = "\n".join(lines_of(answer))
        assert any(not_on_base([p], "win-arm64") in lines for p in PYTHONS) is said
        page = page_content(mission.project, local, check=on_windows(bases[machine]))
        (row,) = (row for row in page.coverage if (row.machine, row.line) == ("win-arm64", "2.13"))
        assert {cell.state for cell in row.cells.values()} == {state}
        assert {python: cell.reason for python, cell in row.cells.items()} == {
            p: f"blocked by base: {not_on_base([p], 'win-arm64')}" if said else "" for p in PYTHONS
        }
        assert any(offer.machine == "win-arm64" for offer in page.offers) is not said


#: every computer of computers.yaml -> the cell that serves it best
SERVED = {
    **dict.fromkeys(("jetson-orin-jetpack-6", "jetson-orin-jetpack-6.2.1"),
                    "2.8/linux-aarch64/cuda126-tegra"),
    **dict.fromkeys(("jetson-orin-jetpack-7", "jetson-thor-jetpack-7"),
                    "2.15/linux-aarch64/cuda132"),
    **dict.fromkeys(("jetson-xavier-jetpack-5", "raspberry-pi-4", "raspberry-pi-5", "graviton",
                     "graviton-miniconda", "rhel-8"), "2.15/linux-aarch64/cpu"),
    "apple-silicon": "2.15/osx-arm64/cpu",
    "windows-on-arm": "2.13/win-arm64/cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def places(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Our channel and a conda-forge that has all it asks for, below one address."""
    folder = tmp_path_factory.mktemp("alias")
    (folder / "armtorch").symlink_to(channel)
    pages = [json.loads(path.read_text()) for path in channel.glob("*/repodata.json")]
    write_whole_base(folder, [row for page in pages for row in page["packages.conda"].items()])
    return folder.as_uri()


@pytest.mark.parametrize("name", computers.ROWS)
def test_doctor_explain_the_page_and_run_agree_on_what_serves_a_computer(
    mission: Mission, places: str, tmp_path: Path, name: str
) -> None:
    tree = computers.write(name, tmp_path)
    computer = look(tree.root, tree.environment, tree.system)
    project = replace(mission.project, environment=tree.environment)
    reach = Reach(alias=places, root=tree.root, system=tree.system)
    found = check_machine(project, reach)
    best = SERVED.get(name, "")
    assert (found.cell, found.verified) == (best, bool(best)), found.detail
    jetpack = jetpack_of(computer)
    rows = [row for row in boards(mission.lock.cells) if jetpack and row.l4t == jetpack.l4t]
    assert [row.cells[:1] for row in rows] == ([(best,) if best else ()] if jetpack else [])
    # what `run` asks for: the virtual packages, and the kind of board that the commands name
    stable = [c for c in mission.lock.cells if (c.train, c.subdir) == ("stable", computer.subdir)]
    serving = {cell.name for cell in stable if serves(cell, computer)}
    kind = "tegra" if is_tegra(computer) else "sbsa"
    solved = set()
    for cell in stable:
        specs = [f"{p}={v}=*{cell.accelerator.build_prefix}*" for p, v in conda_trio(cell)]
        on_linux = cell.subdir == "linux-aarch64" and cell.accelerator.cuda is not None
        specs += [f"arm-variant=*={kind}"] if on_linux else []
        with suppress(SolveError):
            solve(specs, channels=[f"{places}/armtorch", f"{places}/conda-forge"],
                  machine=computer.machine())  # fmt: skip
            solved.add(cell.name)
    # CUDA 12 for servers installs on JetPack 7, where nothing tells a solver that it is a Jetson
    other = {"2.15/linux-aarch64/cuda126"} if jetpack and jetpack.sbsa else set()
    assert solved == serving | other
    if best:
        text = "conda install pytorch torchvision torchaudio -c armtorch -c conda-forge"
        answer = explain_request(project, text, ExplainOptions(reach=reach))
        brought = answer.installs if answer.outcome == "works" else answer.commands[0].installs
        torch = next(each for each in brought if each.name == "pytorch")
        built = torch.build.partition("_")[0]
        built += "-tegra" if kind == "tegra" and built != "cpu" else ""
        assert f"{torch.version.removesuffix('.0')}/{computer.subdir}/{built}" in serving


def conda_trio(cell: Cell) -> Iterator[tuple[str, str]]:
    """The conda packages of a cell's trio, each with its version."""
    return (("pytorch" if name == "torch" else str(name), version)
            for name, version in cell.trio.items())  # fmt: skip


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
