"""What several test files need: the forge, the emulator, and one built channel per cell."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import MissingToolError
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import Pythons, Variant
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.testing import Machine, Runner, choose_runner
from tests import committed as committed_feedstock
from tests import forge, own_feedstock, recorded
from tests.counts import first, proving
from tests.cross import CrossTools, find_cross_tools
from tests.replayed_jobs import Jobs
from tests.surroundings import settle

ROOT = Path(__file__).parents[1]
ARM = "linux-aarch64"
#: what replays came to (`noted`), as `make prove` saw it
FIGURES = ROOT / "benchmarks/replays.json"
#: seconds from which the summary names a file
SLOW_FILE = 20

# Generated inputs are the same in every run, and no clock judges them: what fails for one fails for
# all, and a machine that stands still for a moment fails nothing.
settings.register_profile(
    "armtorch",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("armtorch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--large",
        action="store_true",
        help="also run the tests that download gigabytes (CUDA's libraries: 3.5 GB, 12 GB of disk)",
    )


def pytest_configure(config: pytest.Config) -> None:
    settle(config)
    committed_feedstock.watch()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the longest files begin, and skip what has to be asked for, also in CI."""
    rank = {name: number for number, name in enumerate(first())}
    items.sort(key=lambda item: rank.get(item.location[0], len(rank)))
    asked = {"large": config.getoption("--large"), "prove": proving()}
    how = {"large": "pytest --large", "prove": "make prove"}
    for item in items:
        for name in (name for name, wanted in asked.items() if not wanted):
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"{name}; run it with {how[name]}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the time went: a file is what a worker takes at once (`--dist loadfile`)."""
    seconds: defaultdict[str, float] = defaultdict(float)
    found: dict[str, Any] = {}
    for report in (each for reports in terminalreporter.stats.values() for each in reports):
        if isinstance(report, pytest.TestReport):
            seconds[report.location[0]] += report.duration
            found |= dict(report.user_properties)
    if found and proving():
        known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        FIGURES.write_text(json.dumps(known | found, indent=2, sort_keys=True) + "\n")
    slow = sorted((-spent, name) for name, spent in seconds.items() if spent >= SLOW_FILE)
    if slow:
        terminalreporter.section(f"files of {SLOW_FILE} s or more")
    for spent, name in slow:
        terminalreporter.write_line(f"{-spent:5.0f} s {name}")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that one worker of this run makes and that the others wait for."""
    folder = factory.getbasetemp() / name
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = factory.getbasetemp().parent / name
    made = folder.with_name(f"{name}.made")
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a worker left that failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def missing(reason: str) -> NoReturn:
    """Skip with the reason; fail where everything must have been installed (CI=true)."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def committed() -> Iterator[Path]:
    """The folder of the committed feedstock, for a test that holds whatever its lock says."""
    with committed_feedstock.lifted() as root:
        yield root


@pytest.fixture
def noted(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Keep what a replay came to, for docs/month.md."""

    def note(what: str, replay: Jobs, said: str, *, published: int | None = None) -> None:
        record_property(what, replay.figures(said, published=published))

    return note


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tests' own feedstock, rendered; nothing there may be changed."""
    return made_once(tmp_path_factory, "feedstock", own_feedstock.write)


@pytest.fixture(scope="session")
def project(own: Path) -> Project:
    return Project(feedstock=own / "feedstock.yaml", narrator=Silent())


@pytest.fixture(scope="session")
def base() -> forge.ForgeChannel:
    return forge.ensure()


@pytest.fixture(scope="session")
def runner() -> Runner:
    try:
        return choose_runner(subdirs()[ARM], sysroot=forge.sysroot())
    except MissingToolError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def tools() -> CrossTools:
    try:
        return find_cross_tools()
    except MissingToolError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def machine() -> Machine:
    """An ARM server without a GPU, with the forge's C library."""
    glibc = forge.glibc_version(forge.sysroot())
    return Machine.of(subdirs()[ARM], native=False, added=[f"__glibc={glibc}"])


@pytest.fixture(scope="session")
def cpu_variants(project: Project) -> tuple[Variant, ...]:
    """The CPU cells that the forge has a Python for: 2.10 on 3.11, and the legacy line on 3.9."""
    found = variants(project.declared(), project.locked())
    wanted = Selection(
        subdirs=(ARM,),
        accelerators=("cpu",),
        pythons=Pythons.parse(["3.9", "3.11"]),
        lines=("2.10", "legacy-2.8", METAPACKAGES),
    )
    return select(found, wanted)


@pytest.fixture(scope="session")
def cpu_channel(
    project: Project, cpu_variants: tuple[Variant, ...], tmp_path_factory: pytest.TempPathFactory
) -> LocalChannel:
    def build(folder: Path) -> None:
        options = BuildOptions(channel=LocalChannel(folder / "channel"), jobs=2, level=1)
        build_variants(project, cpu_variants, options).raise_for_failures()

    return LocalChannel(made_once(tmp_path_factory, "cpu", build) / "channel")


@pytest.fixture(scope="session")
def recorded_alias(project: Project, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A channel alias with recorded and rendered channels: pytorch, conda-forge, main, armtorch."""
    return recorded.write(project, tmp_path_factory.mktemp("recorded")).alias


@pytest.fixture(scope="session")
def cached(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with a cache folder of its own."""
    return replace(project, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def feedstock_copy(own: Path, tmp_path: Path) -> Path:
    """A copy of the tests' own feedstock, rendered, that a test may spoil."""
    left_out = shutil.ignore_patterns(".armtorch", "wheelhouse")
    shutil.copytree(own, tmp_path, dirs_exist_ok=True, ignore=left_out)
    return tmp_path
