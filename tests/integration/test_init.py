"""A channel of one's own: from an empty folder and a wheel of armtorch to a published channel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packaging.utils import canonicalize_name

from generator.ci.own_source import BUILD_REQUIRES
from generator.commands import cli
from generator.console import Silent
from generator.errors import ArmtorchError, StaleError, StorageError, TestError
from generator.feedstock import read_feedstock
from generator.lock import read_lock
from generator.project import Project
from generator.rendering import workflows
from generator.stages.render import refuse_stale_workflows
from tests.conftest import made_once
from tests.index_server import IndexServer
from tests.integration import small_release
from tests.integration.index_worlds import trio
from tests.replaying import Replay
from tests.synthetic_wheels import TinyWheel

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMMIT = "git+https://host.example/me/armtorch@" + "0123456789" * 4
ASKED = ("--subdir", "linux-aarch64", "--accelerator", "cpu", "--python", "3.12")


@dataclass(frozen=True)
class Installed:
    """armtorch from its wheel, and an index that pip is configured to use."""

    python: Path
    wheel: Path
    index: IndexServer
    cache: Path

    def __call__(self, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= {"PIP_INDEX_URL": self.index.url, "XDG_CACHE_HOME": str(self.cache)}
        return subprocess.run(
            [self.python.parent / "armtorch", *map(str, words)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def install(folder: Path) -> None:
    """Build the wheel, and install it beside what the tests have of its dependencies."""
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "dist", ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # a path file's own path files are not read: the checkout's editable install stays out
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = (folder / "dist").glob("*.whl")
    python = folder / "venv/bin/python"
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexServer]:
    """An index with a torch, what armtorch needs, and what its build needs."""
    wheels = tmp_path / "index"
    wheels.mkdir()
    for found in distributions():
        name = canonicalize_name(found.metadata["Name"]).replace("-", "_")
        TinyWheel(project=name, version=found.version, tag="py3-none-any").write(wheels)
    for name in ("hatchling", "trove_classifiers", "pathspec", "pluggy", "tomlkit"):
        needs = ["pathspec", "colorama; os_name == 'nt'"] if name == "hatchling" else []
        TinyWheel(project=name, version="1.99", tag="py3-none-any", requires=needs).write(wheels)
    TinyWheel(project="colorama", version="0.4", tag="py3-none-any").write(wheels)
    for wheel in trio("2.10.0", "0.25.0", "2.10.0"):
        wheel.write(wheels)
    with IndexServer(wheels) as server:
        yield server


@pytest.fixture
def armtorch(
    index: IndexServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    made = made_once(tmp_path_factory, "armtorch from its wheel", install)
    (wheel,) = (made / "dist").glob("*.whl")
    return Installed(made / "venv/bin/python", wheel, index, tmp_path / "cache")


@pytest.fixture
def init(index: IndexServer, tmp_path: Path) -> Callable[..., Result]:
    """The command in this process, in a folder called mine."""

    def run(*words: str, answers: str = "") -> Result:
        environment = {"PIP_INDEX_URL": index.url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = ["init", str(tmp_path / "mine"), *words]
        return CliRunner(env=environment).invoke(cli, command, input=answers)

    return run


def test_from_an_empty_folder_to_a_published_channel(armtorch: Installed, tmp_path: Path) -> None:
    here = tmp_path / "mine"
    here.mkdir()
    small_release.put(armtorch.index, *small_release.wheels(*small_release.OLD, "osx-arm64"))
    done = armtorch("init", "--channel", "mine", "--subdir", "osx-arm64", *ASKED[2:], cwd=here)
    assert done.returncode == 0, done.stderr
    # installed from a file, which no workflow has: so it lies in the repository
    pin = (here / ".ci/armtorch/armtorch.txt").read_text()
    assert pin.startswith(f"./.ci/armtorch/{armtorch.wheel.name} ")
    assert (here / ".ci/armtorch" / armtorch.wheel.name).read_bytes() == armtorch.wheel.read_bytes()
    # the base channel is one that does not answer, so nothing is installed and tried
    away = "http://127.0.0.1:9/base"
    done = armtorch(
        "up", "--base", away, "--jobs", "1", "--level", "1", "--indexes", "pypi", cwd=here
    )
    assert done.returncode == 0, done.stderr
    assert "conda install pytorch torchvision torchaudio cpuonly" in done.stdout
    assert f"armtorch's own package, for conda armtorch why: {away}" in done.stdout
    # which is no failure, unless somebody wants it to be one
    done = armtorch("up", "--base", away, "--must-test", cwd=here)
    assert (done.returncode, "not verified:" in done.stdout) == (TestError.exit_code, True)
    done = armtorch("publish", "--to", tmp_path / "served", cwd=here)
    assert done.returncode == 0, done.stderr
    repodata = json.loads((tmp_path / "served/osx-arm64/repodata.json").read_text())
    names = {row["name"] for row in repodata["packages.conda"].values()}
    assert {"libtorch", "pytorch", "torchvision", "torchaudio"} <= names
    written = sorted((here / ".github/workflows").iterdir())
    assert [path.stem for path in written] == ["build", "nightly", "update"]
    schema: list[str | Path] = [
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    subprocess.run([*schema, *written], check=True, capture_output=True)
    judge: list[str | Path] = [BIN / "zizmor", "--offline", "--quiet", "--no-progress"]
    subprocess.run([*judge, here / ".github/workflows"], check=True, capture_output=True)
    assert not any("editable" in path.read_text() for path in written)
    # a base channel that answers, for what comes now
    declared = (here / "feedstock.yaml").read_text()
    base = small_release.base(tmp_path / "base")
    declared, found = re.subn(r"base: \[conda-forge\]", f"base: [{base!r}]", declared)
    assert found == 1
    (here / "feedstock.yaml").write_text(declared)
    # committing the lock brings recipes, and changes no workflow
    before = [path.read_bytes() for path in written]
    for command in ("update", "render"):
        done = armtorch(command, cwd=here)
        assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in written] == before
    own = read_lock(here / "feedstock.lock.yaml").builds["metapackages/armtorch"]
    # and the workflows do the same, by the armtorch that they install: replayed from the first push
    path = os.pathsep.join((str(armtorch.python.parent), str(BIN), os.environ["PATH"]))
    replay = Replay(tmp_path, {**small_release.environment(armtorch.index), "PATH": path})
    replay.adopt(here)
    jobs = replay.build()
    assert all(each.ok for each in jobs.values()), small_release.every(jobs)
    assert small_release.published(replay, "pytorch") == {"osx-arm64/pytorch-2.10.0"}
    (package,) = replay.channel.glob("noarch/armtorch-*.conda")
    assert package.name.endswith(f"pyh{own.digest[:7]}_{own.number}.conda")


def test_pip_takes_the_pins_of_every_machine(
    init: Callable[..., Result], index: IndexServer, tmp_path: Path
) -> None:
    assert init("--channel", "a", "--armtorch", COMMIT).exit_code == 0
    own = tmp_path / "mine/.ci/armtorch"
    assert (own / "armtorch.txt").read_text() == f"armtorch @ {COMMIT}\n"
    needed = own / "dependencies.txt"
    # what the build needs is there, and what only one of the machines needs
    assert "\nhatchling==1.99 \\\n" in needed.read_text()
    assert "\ncolorama==0.4 ; sys_platform == 'win32' \\\n" in needed.read_text()
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    options: list[str | Path] = [
        "--require-hashes",
        "--index-url",
        index.url,
        "--requirement",
        needed,
    ]
    said = subprocess.run([*pip, *options], check=True, capture_output=True, text=True).stdout
    assert "rich-" in said
    assert "colorama-" not in said
    needed.write_text(needed.read_text().replace("sha256:", "sha256:0"))
    assert subprocess.run([*pip, *options], check=False, capture_output=True).returncode


@pytest.mark.parametrize(
    ("lies", "folder"), [(".github", False), (".ci", False), ("README.md", True)]
)
def test_what_lies_in_the_way_is_named_before_anything_is_written(
    lies: str, folder: bool, init: Callable[..., Result], tmp_path: Path
) -> None:
    here = tmp_path / "mine"
    here.mkdir()
    (here / lies).mkdir() if folder else (here / lies).touch()
    error = init("--channel", "a", "--armtorch", COMMIT).exception
    assert isinstance(error, StorageError)
    assert error.where == str(here / lies)
    assert [path.name for path in here.iterdir()] == [lies]


def test_nothing_of_a_persons_is_replaced(init: Callable[..., Result], tmp_path: Path) -> None:
    here = tmp_path / "mine"
    here.mkdir()
    (here / "README.md").write_text("mine\n")
    assert init("--channel", "a", "--armtorch", COMMIT).exit_code == 0
    assert (here / "README.md").read_text() == "mine\n"
    # one of an older armtorch, and one that a person wrote into
    older, edited = (here / f".github/workflows/{name}.yml" for name in ("build", "update"))
    body = older.read_text().partition("\n")[2].replace("name: build", "name: builds")
    older.write_text(workflows._signed(body))
    edited.write_text(edited.read_text() + "# mine\n")
    before = older.read_text(), edited.read_text()
    upgrade = ("--upgrade", "--armtorch", COMMIT.replace("0", "f"), "--json")
    shown = init(*upgrade, "--dry-run")
    assert (older.read_text(), edited.read_text()) == before
    done = init(*upgrade)
    assert shown.stdout == done.stdout
    actions = {row["path"]: row["action"] for row in json.loads(done.stdout)}
    assert actions[".github/workflows/build.yml"] == "renewed"
    assert actions[".github/workflows/update.yml"] == "kept"
    assert actions[".ci/armtorch/armtorch.txt"] == "renewed"
    assert "name: build\n" in older.read_text()
    assert edited.read_text() == before[1]
    # nor does rendering want it otherwise, and what is not theirs is to be as rendered
    project = Project(feedstock=here / "feedstock.yaml", narrator=Silent())
    refuse_stale_workflows(project)
    older.write_text(workflows._signed(body))
    with pytest.raises(StaleError, match=r"build\.yml: stale"):
        refuse_stale_workflows(project)


def test_answers_are_lists_as_options_are_and_a_wrong_one_is_asked_again(
    init: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["a", "", "", "me, you", "linux-aarch64,osx-arm64", "cpu", "py312", "3.12,3.13", "rc"]
    with monkeypatch.context() as terminal:
        terminal.setattr("generator.commands.init._asks", lambda: True)
        done = init("--armtorch", COMMIT, answers="\n".join((*answers, "")))
    assert "'py312' is not a Python build" in done.output
    found = read_feedstock(tmp_path / "mine/feedstock.yaml")
    assert (found.maintainers, [*found.subdirs]) == (("me", "you"), ["linux-aarch64", "osx-arm64"])
    assert [str(each) for each in found.pythons.only] == ["3.12", "3.13"]
    again = init("--channel", "b", "--python", "3.11").output
    assert "--channel, --python: not heeded" in again


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--channel NAME"),
        (("--upgrade",), 3, "no channel here yet"),
        (("--channel", "a b"), 3, "nothing was written"),
        (("--channel", "a", "--subdir", "linux-64"), 31, "take some of: linux-aarch64"),
        (("--channel", "a", "--train", "weekly"), 31, "stable, rc, nightly"),
        (("--channel", "a", "--subdir", "osx-arm64", "--accelerator", "cuda"), 31, "no wheels for"),
        (("--channel", "a", "--armtorch", "git+https://host.example/a@main"), 31, "may move"),
        (("--channel", "a", "--armtorch", "git+file:///a@" + "0" * 40), 31, "on this machine"),
        (("--channel", "a", "--armtorch", "9.9"), 10, "no wheel of armtorch 9.9"),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(
    init: Callable[..., Result], tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = init(*words)
    if isinstance(done.exception, ArmtorchError):
        assert (done.exception.exit_code, said in str(done.exception)) == (code, True)
    else:
        assert (done.exit_code, said in done.output) == (code, True)
    assert not (tmp_path / "mine").exists()


def test_a_build_of_a_commit_has_what_pyproject_asks_for() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert list(BUILD_REQUIRES) == declared["build-system"]["requires"]


def test_a_new_channel_reads_all_that_upstream_has_of_what_it_is_for(
    init: Callable[..., Result], tmp_path: Path
) -> None:
    done = init("--channel", "mine", "--armtorch", COMMIT, "--train", "stable,nightly",
                "--accelerator", "cpu,cuda*,cuda126-tegra")  # fmt: skip
    assert done.exit_code == 0, done.output
    feedstock = read_feedstock(tmp_path / "mine/feedstock.yaml")
    assert feedstock.trains["stable"].indexes == ("pypi", "whl-cpu", "whl-cu*", "jetson-6")
    assert feedstock.trains["nightly"].indexes == ("nightly-cpu", "nightly-cu*")
    assert feedstock.indexes["jetson-6"].accelerator == "cuda126-tegra"
    wanted = feedstock.subdirs["linux-aarch64"].accelerators
    assert wanted == ("cpu", "cuda*", "cuda126-tegra")


def test_a_channel_for_one_kind_of_machine_is_for_the_subdirs_that_have_it(
    init: Callable[..., Result], tmp_path: Path
) -> None:
    told = ("--channel", "mine", "--armtorch", COMMIT)
    assert init(*told, "--accelerator", "cuda126-tegra").exit_code == 0
    path = tmp_path / "mine/feedstock.yaml"
    assert set(read_feedstock(path).subdirs) == {"linux-aarch64"}
    path.unlink()
    assert init(*told, "--subdir", "win-arm64", "--accelerator", "cpu,cuda").exit_code == 0
    feedstock = read_feedstock(path)
    assert feedstock.trains["stable"].indexes == ("pypi", "whl-cpu", "nvidia-windows")
    assert feedstock.indexes["nvidia-windows"].subdirs == ("win-arm64",)
    assert feedstock.fill == ()
    assert "conda-forge has Python 3.14 and newer" in path.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "armtorch up, then armtorch publish --to DEST"),
        (("--to", "https://prefix.dev/mine"), "armtorch up, then armtorch publish --to main"),
    ],
)
def test_what_comes_next_is_a_command_that_runs(
    init: Callable[..., Result], words: tuple[str, ...], said: str
) -> None:
    done = init("--channel", "mine", "--armtorch", COMMIT, *words)
    assert (done.exit_code, said in done.output) == (0, True), done.output


def test_a_channel_at_gitlab_has_its_pipeline_which_an_upgrade_renews(
    init: Callable[..., Result], tmp_path: Path
) -> None:
    here = tmp_path / "mine"
    assert init("--channel", "a", "--armtorch", COMMIT, "--ci", "gitlab").exit_code == 0
    assert read_feedstock(here / "feedstock.yaml").ci == "gitlab"
    assert not (here / ".github").exists()
    readme = (here / "README.md").read_text()
    assert "ARMTORCH_SCHEDULE" in readme
    assert "update.yml" not in readme
    pipeline = here / ".gitlab-ci.yml"
    assert ".ci/armtorch/dependencies.txt" in pipeline.read_text()
    pipeline.write_text(workflows._signed("stages: [older]\n"))
    assert init("--upgrade", "--armtorch", COMMIT).exit_code == 0
    assert "stages: [release," in pipeline.read_text()


@pytest.mark.parametrize("folder", [".ci", ".github"])
def test_nothing_is_written_through_a_link(
    init: Callable[..., Result], tmp_path: Path, folder: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "mine" / folder).symlink_to(tmp_path / "outside")
    done = init("--channel", "mine", "--armtorch", COMMIT)
    assert "symbolic link" in str(done.exception)
    assert not any((tmp_path / "outside").iterdir())
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [folder]
