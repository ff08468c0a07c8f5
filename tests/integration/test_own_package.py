"""armtorch's own package: the same bytes anywhere, proven, installed, and asked from conda."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import pytest
from rattler_build import assemble_package

from generator.building import Row
from generator.channel import LocalChannel
from generator.console import Silent
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.matrix import variants
from generator.model import BuildNumber, Lock
from generator.packages import own_requirements
from generator.project import Project
from generator.rendering import OWN_KEY, own_package, with_own_row
from generator.stages import up
from generator.stages.build import BuildOptions, build_variants
from generator.stages.test import RunOptions
from generator.testing import Machine, Runner, create, run_package_tests, solve
from generator.testing.runner import native_subdir
from tests import clients, own_feedstock, recorded
from tests.conftest import made_once
from tests.installing import pip
from tests.packages import PATHS, Parts

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def carrying(folder: Path, carried: str = "true") -> Project:
    folder.mkdir(parents=True)
    project = own_feedstock.write(folder)
    text = project.feedstock.read_text()
    assert "carry_armtorch: false" in text
    project.feedstock.write_text(
        text.replace("carry_armtorch: false", f"carry_armtorch: {carried}")
    )
    return project


def build(project: Project, channel: Path, package: str = "cpuonly") -> dict[str, Row]:
    """Build what is of no platform, and return the rows by package."""
    chosen = [v for v in variants(project.declared(), project.known()) if v.package == package]
    options = BuildOptions(channel=LocalChannel(channel), jobs=1, level=1)
    rows = build_variants(project, chosen[:1], options).rows
    assert not [row.error for row in rows if row.error]
    return {row.id.split("/")[1]: row for row in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return carrying(tmp_path_factory.mktemp("carrying") / "feedstock")


@pytest.fixture(scope="module")
def channel(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channel")
    build(project, folder)
    return folder


@pytest.fixture(scope="module")
def package(channel: Path) -> Path:
    (found,) = channel.glob("noarch/armtorch-*.conda")
    return found


# ---- what it is made of -------------------------------------------------------------------------


def from_elsewhere(path: Path, feedstock: Path) -> list[str]:
    """Ask another armtorch for the name of its package, and for the sha256 of its wheel."""
    code = (
        "import sys; from pathlib import Path\n"
        "from generator.feedstock import read_feedstock\n"
        "from generator.model import Lock\n"
        "from generator.rendering.own_package import own_package\n"
        "own = own_package(read_feedstock(Path(sys.argv[1])), Lock())\n"
        "print(own.file_name, own.variant.wheels[0].sha256)"
    )
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, "-c", code, feedstock],
        env=environment,
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def checkout(folder: Path) -> Path:
    """What git tracks here, as a repository in another folder."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "generator", "templates"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def test_another_checkout_and_the_installed_wheel_give_the_same_package(
    project: Project, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_package(project.declared(), Lock())
    assert own is not None
    here = [own.file_name, own.variant.wheels[0].sha256]
    assert package.name == own.file_name
    copy = checkout(tmp_path / "deeper" / "copy")
    # what nobody tracks is in no wheel, nor is when and with which rights a file was written
    (copy / "generator/left_over.py").write_text("raise SystemExit")
    (copy / "templates/recipes/.armtorch.yaml.jinja.swp").write_text("")
    (copy / "generator/errors.py").chmod(0o755)
    os.utime(copy / "generator/errors.py", (0, 0))
    assert from_elsewhere(copy, project.feedstock) == here
    site = tmp_path / "site"
    pip(sys.executable, "install", "--quiet", "--no-deps", "--target", str(site), str(ROOT))
    assert (site / "generator/__pycache__").is_dir()
    assert from_elsewhere(site, project.feedstock) == here
    # a hook of git's leads to its own repository; one around it that does not track it says nothing
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    assert from_elsewhere(copy, project.feedstock) == here
    subprocess.run(["git", "init", "-q", site], check=True, env={"PATH": os.environ["PATH"]})
    assert from_elsewhere(site, project.feedstock) == here
    # another content has another name, though version and number are the same
    (copy / "generator/errors.py").write_text((ROOT / "generator/errors.py").read_text() + "\n")
    assert from_elsewhere(copy, project.feedstock)[0] != here[0]


def test_built_in_another_folder_it_has_the_same_bytes(
    project: Project, package: Path, tmp_path: Path
) -> None:
    rows = build(carrying(tmp_path / "a place" / "elsewhere"), tmp_path / "out")
    (again,) = (tmp_path / "out").glob("noarch/armtorch-*.conda")
    assert (again.name, again.read_bytes()) == (package.name, package.read_bytes())
    assert rows["armtorch"].status == "built"
    # a wheel of its own is none that pip would have fetched
    assert rows["armtorch"].wheels == {}
    assert build(project, tmp_path / "out")["armtorch"].status == "skipped"


def test_it_goes_with_the_metapackages_and_a_line_switches_it_off(
    channel: Path, tmp_path: Path
) -> None:
    records = json.loads((channel / "noarch/repodata.json").read_text())["packages.conda"]
    assert {row["name"] for row in records.values()} == {"armtorch", "cpuonly"}
    without = carrying(tmp_path / "without", "false")
    assert set(build(without, tmp_path / "out")) == {"cpuonly"}
    project = carrying(tmp_path / "with")
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    build(project, tmp_path / "out")
    after = {path: path.read_bytes() for path in before}
    assert after == before, "nothing that is committed knows of it"
    known = variants(project.declared(), project.known())
    assert "armtorch" not in {variant.package for variant in known}


# ---- its number ---------------------------------------------------------------------------------


def test_another_content_gets_the_next_number_and_update_writes_it_down(project: Project) -> None:
    lock, pinned = project.known(), replace(project.declared(), armtorch="pinned")
    own = own_package(pinned, lock)
    assert own is not None
    first = with_own_row(pinned, lock, lock, own, {})
    assert first.builds[OWN_KEY] == BuildNumber(number=0, digest=own.variant.digest)
    assert with_own_row(pinned, first, first, own, {}) == first
    older = replace(lock, builds={**lock.builds, OWN_KEY: BuildNumber(number=3, digest="0" * 64)})
    newer = own_package(pinned, older)
    assert newer is not None
    assert newer.variant.build_number == 4
    assert newer.file_name.endswith(f"{newer.variant.digest[:7]}_4.conda")
    written = with_own_row(pinned, lock, older, newer, {})
    again = own_package(pinned, written)
    assert again is not None
    assert (again.file_name, again.files) == (newer.file_name, newer.files)
    # a lock that was lost starts behind what the channel has
    assert with_own_row(pinned, lock, lock, own, {OWN_KEY: 7}).builds[OWN_KEY].number == 7


def test_in_armtorchs_own_repository_a_commit_of_it_is_no_release(project: Project) -> None:
    lock = project.known()
    feedstock = project.declared()
    assert feedstock.armtorch == "checkout"
    older = replace(lock, builds={**lock.builds, OWN_KEY: BuildNumber(number=3, digest="0" * 64)})
    own = own_package(feedstock, older)
    assert with_own_row(feedstock, older, older, own, {}) == older
    assert with_own_row(feedstock, lock, lock, own, {}) == lock
    # where a release is made anyway, it is part of it
    changed = replace(older, silent={"pypi": "2026-11-30"})
    assert with_own_row(feedstock, changed, older, own, {}).builds[OWN_KEY].number == 4


# ---- verify -------------------------------------------------------------------------------------


def verdict(project: Project, path: Path) -> tuple[str, str]:
    (proof,) = verify_packages(project, [path], VerifyOptions())
    return proof.verdict, "; ".join(map(str, proof.flaws))


def test_verify_proves_it_and_refuses_a_forged_one(
    project: Project, package: Path, tmp_path: Path
) -> None:
    assert verdict(project, package) == ("proven", "")
    plugin = "site-packages/generator/doors/conda_plugin.py"
    parts = Parts.read(package)
    held = parts.payload[plugin]
    assert isinstance(held, bytes)
    forged = replace(parts, payload={**parts.payload, plugin: held + b"import this\n"})
    assert verdict(project, forged.write(tmp_path / "payload"))[0] == "refuted"
    index = json.loads(parts.info["info/index.json"])
    index["depends"].append("something-else")
    text = json.dumps(index, indent=2).encode()
    forged = replace(parts, info={**parts.info, "info/index.json": text})
    assert verdict(project, forged.write(tmp_path / "depends"))[0] == "refuted"
    assert PATHS in parts.info
    # that of another armtorch is not what this one would make
    older = replace(parts, name=parts.name.replace("-pyh", "-pyh0"))
    assert verdict(project, older.write(tmp_path / "older"))[0] != "proven"


def test_verify_without_its_feedstock_finds_it_whole(package: Path, tmp_path: Path) -> None:
    elsewhere = Project(feedstock=tmp_path / "feedstock.yaml", narrator=Silent())
    assert verdict(elsewhere, package) == ("self-consistent", "")


# ---- installed ----------------------------------------------------------------------------------

#: what conda-forge's conda-rattler-solver 0.2.0 asks for, which its conda brings along
BESIDE_CONDA = "py-rattler==0.26.0"
#: finds the packages of its prefix, then those that the tests have
INTERPRETER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
PYTHONPATH="$here/../lib/python{python}/site-packages:{libraries}" exec "{real}" "$@"
"""


def libraries(folder: Path) -> None:
    """What armtorch needs, without armtorch: links to what is there, and conda's py-rattler."""
    made = folder / "libraries"
    made.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "armtorch" not in path.name and path.suffix != ".pth":
            (made / path.name).symlink_to(path)
    for path in (*made.glob("rattler"), *made.glob("py_rattler-*")):
        path.unlink()
    pip(sys.executable, "install", "--quiet", "--no-deps", "--target", str(made), BESIDE_CONDA)


@pytest.fixture(scope="module")
def beside_conda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "libraries beside conda", libraries) / "libraries"


@pytest.fixture(scope="module")
def stand_ins(package: Path, beside_conda: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with the names that the package asks for, in the versions that are installed here."""
    folder = tmp_path_factory.mktemp("base")
    depends = json.loads(Parts.read(package).info["info/index.json"])["depends"]
    names = {spec.split(" ")[0] for spec in depends} - {"python"} | {"pip"}
    for name in sorted(names):
        (dist,) = distributions(name=name, path=[str(beside_conda)])
        assemble_package(
            name, dist.version, "noarch", "0", folder / "noarch", noarch="generic", license="MIT"
        )
    staged = folder / "staged/bin"
    staged.mkdir(parents=True)
    (staged / f"python{PYTHON}").write_text(
        INTERPRETER.format(python=PYTHON, libraries=beside_conda, real=sys.executable)
    )
    (staged / f"python{PYTHON}").chmod(0o755)
    (staged / "python").symlink_to(f"python{PYTHON}")
    for subdir in {native_subdir(), "linux-aarch64"}:
        assemble_package(
            "python",
            f"{PYTHON}.9",
            subdir,
            "0_cpython",
            folder / subdir,
            files_dir=folder / "staged",
            license="PSF-2.0",
            detect_prefix=False,
        )
    shutil.rmtree(folder / "staged")
    LocalChannel(folder).index()
    return folder.as_uri()


def test_it_is_installed_from_the_channel_and_runs_beside_condas_py_rattler(
    channel: Path, package: Path, stand_ins: str, tmp_path: Path
) -> None:
    report = run_package_tests(
        package,
        channels=[channel.as_uri(), stand_ins],
        machine=Machine(subdir=native_subdir(), virtual_packages=("__unix=0=0",)),
        runner=Runner(mode="native", description="natively"),
        package_cache=tmp_path,
        narrator=Silent(),
    )
    assert [f"{s.name}: {s.output}" for s in report.steps if s.outcome != "passed"] == []
    run = [step.name for step in report.steps]
    assert {"install", "pip check", "armtorch --help", "pixi-armtorch --help"} <= {*run}
    assert "import generator.commands.explain" in run


def test_up_says_what_of_it_the_base_channel_lacks(
    project: Project, channel: Path, stand_ins: str
) -> None:
    own = own_package(project.declared(), project.known())
    assert own is not None
    options = RunOptions(channel=LocalChannel(channel), base=(stand_ins,))
    assert up._not_in_base(project, own, options) == ""
    found = replace(own, depends=(*own.depends, "py-rattler-build >=99"))
    assert (
        up._not_in_base(project, found, options) == "the base channel has no py-rattler-build >=99"
    )


@pytest.fixture(scope="module")
def recorded_channels(project: Project, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An alias with recorded channels, and with ours."""
    return recorded.write(project, tmp_path_factory.mktemp("recorded")).alias


@pytest.fixture(scope="module")
def installed(channel: Path, stand_ins: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix with the package."""
    machine = Machine(subdir=native_subdir(), virtual_packages=("__unix=0=0",))
    records = solve(["armtorch"], channels=[channel.as_uri(), stand_ins], machine=machine)
    folder = tmp_path_factory.mktemp("installed")
    create(
        records,
        prefix=folder / "prefix",
        subdir=native_subdir(),
        package_cache=folder / "cache",
    )
    return folder / "prefix"


def run(*words: str | Path, cwd: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(cwd), "XDG_CACHE_HOME": str(cwd / "cache"), **more}
    return subprocess.run(
        [*words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_pixis_door_explains_and_what_makes_channels_says_what_it_lacks(
    installed: Path, recorded_channels: str, beside_conda: Path, tmp_path: Path
) -> None:
    alias = {"CONDA_CHANNEL_ALIAS": recorded_channels}
    asked = ["explain", "pixi add pytorch torchvision", "--subdir", "linux-aarch64"]
    done = run(installed / "bin/pixi-armtorch", *asked, cwd=tmp_path, more=alias)
    assert done.returncode == 0, done.stderr
    assert "This works on linux-aarch64" in done.stdout
    (site,) = installed.glob("lib/python*/site-packages")
    (dist,) = distributions(name="armtorch", path=[str(site)])
    (plugin,) = dist.entry_points.select(group="conda")
    assert (site / f"{plugin.value.replace('.', '/')}.py").is_file()
    python = installed / f"bin/python{PYTHON}"
    code = (
        "import sys; sys.modules['jinja2'] = None; sys.argv = ['armtorch', *sys.argv[1:]]\n"
        "from generator.__main__ import main; main()"
    )
    done = run(python, "-c", code, "--help", cwd=tmp_path, more={})
    assert done.returncode == 0, done.stderr
    assert "Needs more than is installed here" in done.stdout
    done = run(python, "-c", code, "matrix", "--subdir", "win-arm64", cwd=tmp_path, more={})
    assert done.returncode == 32, (done.stdout, done.stderr)
    for name in own_requirements().optional:
        assert name in done.stderr


def test_conda_armtorch_why_after_the_failing_command_gives_the_one_that_works(
    installed: Path, recorded_channels: str, beside_conda: Path, tmp_path: Path
) -> None:
    """In a real conda, with nothing pasted (ARMTORCH_CLIENTS: docs/conda-smithy.md)."""
    conda: list[str | Path] = [clients.folder() / ".venv/bin/python", "-m", "conda"]
    (site,) = installed.glob("lib/python*/site-packages")
    (tmp_path / "environment/conda-meta").mkdir(parents=True)
    (tmp_path / "environment/conda-meta/history").write_text("")
    (tmp_path / ".condarc").write_text(
        f"channel_alias: {recorded_channels}\nchannels: [main]\nsolver: classic\n"
        "auto_update_conda: false\n"
    )
    more = {
        "PYTHONPATH": f"{site}{os.pathsep}{beside_conda}",
        "CONDA_PREFIX": str(tmp_path / "environment"),
    }
    machine = {**more, "CONDA_SUBDIR": "linux-aarch64", "CONDA_OVERRIDE_GLIBC": "2.36"}
    words = "install pytorch torchvision torchaudio -c pytorch"
    failed = run(*conda, *words.split(), cwd=tmp_path, more=machine)
    assert failed.returncode != 0
    assert "PackagesNotFound" in failed.stderr
    done = run(*conda, "armtorch", "why", cwd=tmp_path, more=more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"CONDA_SUBDIR=linux-aarch64 conda {words}" in re.sub(
        "CONDA_OVERRIDE_.*? ", "", done.stderr
    )
    command = re.search(r"^ +(CONDA_.*)", done.stdout, re.MULTILINE)
    assert command is not None, done.stdout
    given = [word for word in shlex.split(command[1]) if not word.startswith("CONDA_")]
    works = run(*conda, *given[1:], "--dry-run", cwd=tmp_path, more=machine)
    assert "DryRunExit" in works.stderr, (command[1], works.stdout, works.stderr)
