"""From every index format to packages: update, render and build, through the stages themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generator.building import Row
from generator.channel import LocalChannel
from generator.ci.against_base import against_base
from generator.datafiles import subdirs
from generator.errors import LinkageError, SolveError
from generator.lock import read_lock
from generator.matrix import Selection, matrix_view, select, variants
from generator.model import Variant
from generator.packages import shared
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.testing import Machine, solve
from tests.forge import standins
from tests.integration.index_worlds import World, trio, world
from tests.integration.small_base import write_base
from tests.integration.test_recipe_builds import Built
from tests.integration.test_update_formats import NIGHTLY, STABLE, WINDOWS, quiet
from tests.integration.test_update_identity import DAY, RC
from tests.integration.test_update_members import SAME

pytestmark = pytest.mark.integration

PACKAGES = ("libtorch", "pytorch", "torchvision")
PLAIN = """\
indexes:
  here: {source}
trains:
  stable: {keep: [newest], indexes: [here]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
"""


SBSA = """\
indexes:
  sbsa: {kind: devpi, url: "{root}/sbsa/cu130", accelerator: cuda, glibc: "2.35"}
trains:
  stable: {keep: [newest], indexes: [sbsa]}
subdirs:
  linux-aarch64: {accelerators: [cuda]}
"""


NVIDIA = """\
indexes:
  nvidia: {kind: simple, url: "{root}/nvtorch_oot"}
trains:
  stable: {keep: [newest], indexes: [nvidia]}
subdirs:
  win-arm64: {accelerators: [cuda]}
"""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@dataclass(frozen=True)
class Format:
    """One index format: where its wheels are, who reads it, and what must come out."""

    feedstock: str
    fill: Callable[[World], None]
    #: the cell that is built
    cell: str
    index: str
    label: str = ""
    hash_origin: str = "index"
    packages: tuple[str, ...] = PACKAGES


def put(sub: str, *parts: str, **facts: str) -> Callable[[World], None]:
    def fill(upstream: World) -> None:
        upstream.put(sub, *trio(*parts, **facts))

    return fill


def jetson(upstream: World) -> None:
    wheels = trio("2.14.0", "0.29.0", "2.11.0", accelerator="cuda130", tag="linux_aarch64")
    upstream.put("sbsa/cu130", *map(quiet, wheels))


def nvidia(upstream: World) -> None:
    parts = ("2.14.0", "0.29.0", "2.11.0")
    facts = {"label": "cu134", "accelerator": "cuda134", "subdir": "win-arm64"}
    torch, vision, audio = trio(*parts, **facts)
    # upstream's own check of CUDA's version, which a row of layout.yaml knows (torchaudio 2.11.0)
    check = {"torchaudio/_extension/utils.py": SAME.encode()}
    audio = replace(audio, members={**audio.members, **check})
    upstream.put("nvtorch_oot", torch, vision, audio)


def both(upstream: World) -> None:
    put("whl/cpu", "2.14.1", "0.29.1", "2.9.0", label="cpu")(upstream)
    put("whl/test/cpu", "2.15.0", "0.29.2", "2.11.0", label="cpu")(upstream)


NEWEST = ("2.15.0", "0.29.2", "2.11.0")
NIGHT = (DAY, "0.30.0.dev20261121", "2.11.0.dev20261121")
FORMATS = {
    "pip": Format(
        PLAIN.replace("{source}", "{kind: pip}"),
        put("pypi", "2.10.0", "0.25.0", "2.10.0"),
        "2.10/linux-aarch64/cpu",
        "here",
    ),
    "folder": Format(
        PLAIN.replace("{source}", '{kind: folder, url: "{wheels}/mine"}'),
        put("mine", "2.10.0", "0.25.0", "2.10.0"),
        "2.10/linux-aarch64/cpu",
        "here",
        hash_origin="computed",
    ),
    "pytorch": Format(
        STABLE, put("whl/cpu", *NEWEST, label="cpu"), "2.15/linux-aarch64/cpu", "torch-cpu"
    ),
    "pytorch cuda": Format(
        STABLE,
        put("whl/cu130", *NEWEST, label="cu130", accelerator="cuda130"),
        "2.15/linux-aarch64/cuda130",
        "torch-cu130",
    ),
    "pytorch macos": Format(
        STABLE, put("whl/cpu", *NEWEST, subdir="osx-arm64"), "2.15/osx-arm64/cpu", "torch-cpu"
    ),
    "pytorch test": Format(RC, both, "rc/linux-aarch64/cpu", "test-cpu", "rc"),
    "pytorch nightly": Format(
        NIGHTLY,
        put("whl/nightly/cpu", *NIGHT, label="cpu"),
        "nightly/linux-aarch64/cpu",
        "nightly-cpu",
        "nightly",
        "computed",
    ),
    "jetson": Format(SBSA, jetson, "2.14/linux-aarch64/cuda130", "sbsa"),
    "pytorch windows": Format(
        WINDOWS,
        put("whl/cpu", "2.14.0", "0.29.0", "2.11.0", label="cpu", subdir="win-arm64"),
        "2.14/win-arm64/cpu",
        "torch-cpu",
    ),
    "nvidia windows": Format(NVIDIA, nvidia, "2.14/win-arm64/cuda134", "nvidia"),
}


def chosen(project: Project, cell: str, packages: tuple[str, ...]) -> tuple[Variant, ...]:
    line, subdir, accelerator = cell.split("/")
    known = variants(project.declared(), project.known())
    return select(
        known,
        Selection(subdirs=(subdir,), accelerators=(accelerator,), packages=packages, lines=(line,)),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_from_an_index_to_packages(upstream: World, name: str) -> None:
    wanted = FORMATS[name]
    wanted.fill(upstream)
    project = upstream.project(wanted.feedstock)
    result = update_lock(project)
    assert result.findings == ()
    cell = next(c for c in read_lock(project.lock).cells if c.name == wanted.cell)
    assert {wheel.index for wheel in cell.wheels} == {wanted.index}
    assert {wheel.hash_origin for wheel in cell.wheels} == {wanted.hash_origin}
    render_feedstock(project)
    channel = LocalChannel(upstream.folder / "channel")
    own = chosen(project, wanted.cell, wanted.packages)
    report = build_variants(project, own, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()
    place = channel.labelled(wanted.label).root / cell.subdir
    for row in report.rows:
        built = Built.open(place / row.file_name)
        source = json.loads(built.info["info/armtorch/manifest.json"])["source"]
        wheel = next(w for w in cell.wheels if w.sha256 == source["sha256"])
        assert source["hash_origin"] == wanted.hash_origin
        assert source["purl"] == wheel.purl
        assert "+" not in row.file_name  # conda versions have no local part
    names = {path.name.split("-")[0] for path in place.glob("*.conda")}
    assert names == set(wanted.packages)
    assert (place / "repodata.json").is_file()
    if wanted.label:
        assert not list(channel.root.glob(f"{cell.subdir}/*.conda"))


def test_a_wheel_for_another_machine_than_its_tag_says_is_no_package(upstream: World) -> None:
    upstream.put("whl/cpu", *trio(*NEWEST, label="cpu", machine="x86_64"))
    (row,) = built(upstream, STABLE, "libtorch")
    assert isinstance(row.error, LinkageError)
    assert "x86" in str(row.error)
    assert not list(upstream.folder.rglob("*.conda"))


def test_what_is_known_of_an_index_stands_in_the_recipe_and_nothing_is_raised(
    upstream: World,
) -> None:
    upstream.put("whl/cpu", *trio(*NEWEST, label="cpu", glibc="2.34"))
    for facts, raised in (("", "2.34"), (', glibc: "2.34"', "")):
        feedstock = STABLE.replace('/whl/cpu"', f'/whl/cpu"{facts}')
        libtorch, pytorch = built(upstream, feedstock, "libtorch", "pytorch")
        depends = []
        for row in (libtorch, pytorch):
            assert (row.floor.needed if row.floor else "") == raised
            package = upstream.folder / "channel/linux-aarch64" / row.file_name
            depends.append(Built.open(package).index["depends"])
            assert "__glibc >=2.34" in depends[-1]
        # the build string has a hash over the recipe's floor
        name = libtorch.file_name.removesuffix(".conda").rpartition("-")[2]
        assert f"libtorch ==2.15.0 {name}" in depends[1]


def test_nvidias_windows_cell_carries_cuda_and_matrix_says_what_its_base_lacks(
    upstream: World,
) -> None:
    """conda-forge's win-arm64 has no CUDA packages, and no Python before 3.14 (landscape 1b)."""
    nvidia(upstream)
    project = upstream.project(NVIDIA)
    update_lock(project)
    render_feedstock(project)
    view = matrix_view(project.declared(), project.known())
    base = write_base(upstream.folder / "base", "win-arm64", ["3.14"])
    (cell,) = against_base(project, view, base=(base,)).cells
    assert (cell.name, cell.pythons) == ("2.14/win-arm64/cuda134", ("3.12",))
    assert cell.base is not None
    blocked = {row.id.split("/")[1]: row.by for row in cell.base.blocked}
    assert set(blocked) == {*PACKAGES, "torchaudio", "pytorch-gpu"} - {"libtorch"}
    assert all("python_abi 3.12.* *_cp312" in by for by in blocked.values())


def built(upstream: World, feedstock: str, *packages: str) -> list[Row]:
    """Update, render and build packages of the newest CPU cell, each for one Python."""
    project = upstream.project(feedstock)
    update_lock(project)
    render_feedstock(project)
    channel = LocalChannel(upstream.folder / "channel")
    own = chosen(project, "2.15/linux-aarch64/cpu", packages)
    by_package = {variant.package: variant for variant in own}
    wanted = [by_package[package] for package in packages]
    options = BuildOptions(channel=channel, jobs=1, level=1)
    return list(build_variants(project, wanted, options).rows)


def test_a_stable_request_never_meets_a_nightly_or_a_candidate(upstream: World) -> None:
    both(upstream)
    put("whl/nightly/cpu", *NIGHT, label="cpu")(upstream)
    text = RC.replace(
        "trains:", '  nightly-cpu: {kind: pytorch, url: "{root}/whl/nightly/cpu"}\ntrains:'
    ).replace("subdirs:", "  nightly: {keep: [newest], indexes: [nightly-cpu]}\nsubdirs:")
    project = upstream.project(text)
    assert update_lock(project).findings == ()
    render_feedstock(project)
    channel = LocalChannel(upstream.folder / "channel")
    known = variants(project.declared(), project.known())
    own = [v for v in known if v.package in {*shared(), "pytorch", "pytorch-mutex"}]
    report = build_variants(project, own, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()
    base = standins.write(upstream.folder / "base")
    machine = Machine.of(subdirs()["linux-aarch64"], native=False, added=["__glibc=2.39"])

    def version(*specs: str, labels: tuple[str, ...] = ()) -> str:
        own = [channel.labelled(label).url for label in labels]
        records = solve(list(specs), channels=[*own, channel.url, base], machine=machine)
        return str(next(r.version for r in records if r.name.normalized == "pytorch"))

    assert version("pytorch") == "2.14.1"
    assert version("pytorch", labels=("rc",)) == "2.15.0"
    assert version("pytorch", labels=("nightly",)) == DAY
    for spec in ("pytorch 2.15.*", "pytorch >=2.16.0.dev0"):
        with pytest.raises(SolveError):
            version(spec)
    assert {v.config["channel_targets"] for v in own if v.train != "stable"} == {
        ("armtorch nightly",),
        ("armtorch rc",),
    }
