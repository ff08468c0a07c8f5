"""A release for CUDA by the workflows, on machines without a GPU: planned, tested, published.

The base channel has the records of the forge as empty packages, so that all is installed; what
would run there is /bin/true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.matrix import variants
from generator.model import Accelerator
from generator.project import Project
from generator.testing import Machine, solve
from tests.conda_files import write_conda
from tests.forge import standins
from tests.index_formats import PytorchSite
from tests.index_server import IndexServer
from tests.integration.index_worlds import trio
from tests.integration.missions import silent
from tests.replayed_actions import git
from tests.replayed_jobs import Done
from tests.replaying import Replay

pytestmark = pytest.mark.integration

ARM, MAC = "linux-aarch64", "osx-arm64"
GLIBC = "__glibc=2.39"
PYTHONS = ("cp312", "cp313")
FEEDSTOCK = """\
channel: synthetic
maintainers: [someone]
carry_armtorch: false
repository: https://github.com/me/armtorch
packages: [torch, torchvision, torchaudio]
indexes:
  cpu: {{kind: pytorch, url: "{root}/whl/cpu"}}
  cu*: {{kind: pytorch, url: "{root}/whl/cu*"}}
trains:
  stable: {{keep: [newest], indexes: [cpu, cu*]}}
subdirs:
  linux-aarch64: {{accelerators: [cuda], base: ["{base}"]}}
  osx-arm64: {{accelerators: [cpu], base: ["{base}"]}}
policies: {{compression_level: 1, published_level: 1}}
"""


def installable(folder: Path) -> str:
    """Write the forge's records as packages that can be installed, and return the address."""
    standins.write(folder)
    for subdir in (ARM, MAC, "noarch"):
        listed = folder / subdir / "repodata.json"
        repodata = json.loads(listed.read_text())
        listed.unlink()  # with digests of no files
        for row in repodata["packages.conda"].values():
            kept = {k: v for k, v in row.items() if k not in {"md5", "sha256", "size"}}
            place = (row["name"], row["version"], row["build"])
            minor = ".".join(str(row["version"]).split(".")[:2])
            programs = ("python", f"python{minor}") if row["name"] == "python" else ()
            links = {f"bin/{name}": "/bin/true" for name in programs}
            write_conda(folder, *place, links=links, subdir=subdir, installable=True, index=kept)
    LocalChannel(folder).index()
    return folder.as_uri()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[IndexServer]:
    with IndexServer(tmp_path / "index") as index:
        index.sites.append(PytorchSite(tmp_path / "sites"))
        yield index


def put(site: IndexServer, folder: str, *versions: str, **facts: str) -> None:
    for wheel in silent(trio(*versions, pythons=PYTHONS, **facts)):
        wheel.write(site.folder.parent / "sites/whl" / folder)


def emulator(folder: Path) -> dict[str, str]:
    """Let a machine that is not of ARM run programs of it: they are /bin/true."""
    programs, libc = folder / "programs", folder / "libc/lib"
    programs.mkdir()
    libc.mkdir(parents=True)
    (libc / "ld-linux-aarch64.so.1").touch()
    (libc / "libc.so.6").write_bytes(b"GNU C Library (x) stable release version 2.39.")
    program = programs / "qemu-aarch64-static"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    return {"ARMTORCH_SYSROOT": str(libc.parent)}


def on_a_gpu(name: str) -> bool:
    """Whether a package is for a machine with one."""
    return "cuda" in name


def every(done: dict[str, Done]) -> str:
    return "\n".join(f"== {name}\n{each.said}" for name, each in done.items() if not each.ok)


@pytest.mark.parametrize(
    ("torch", "accelerator", "alone"),
    [
        ("2.14.0", "cuda130", False),
        pytest.param("2.15.0", "cuda132", True, marks=pytest.mark.prove),
    ],
)
def test_releases_for_cpu_and_cuda_are_planned_tested_and_published_alike(
    site: IndexServer,
    tmp_path: Path,
    noted: Callable[..., None],
    torch: str,
    accelerator: str,
    *,
    alone: bool,
) -> None:
    versions, label = (torch, "0.30.0", "2.11.0"), accelerator.replace("cuda", "cu")
    if not alone:
        put(site, "cpu", *versions, subdir=MAC)
    put(site, label, *versions, label=label, accelerator=accelerator)
    environment = {"PIP_INDEX_URL": site.url, "PIP_CONFIG_FILE": "/dev/null", **emulator(tmp_path)}
    replay = Replay(tmp_path, environment, programs=(tmp_path / "programs",))
    base = installable(tmp_path / "base")
    replay.start(FEEDSTOCK.format(base=base, root=site.root))
    released = replay.job("update", "release")
    assert released.ok, released.said
    replay.merge()
    done = replay.build()
    assert all(each.ok for each in done.values()), every(done)
    planned = [
        row for name in ("shared", "variants") for row in json.loads(done["plan"].given[name])
    ]
    assert not any(row["skip"] for row in planned), "0 unsolvable"
    project = Project(feedstock=tmp_path / "first/feedstock.yaml", narrator=Silent())
    (project.root / "feedstock.lock.yaml").write_text(
        git(replay.origin, "show", "main:feedstock.lock.yaml")
    )
    wanted = variants(project.declared(), project.known())
    assert {each.package for each in wanted if str(each.accelerator) == accelerator} >= {
        *("libtorch", "pytorch", "pytorch-gpu", "torchvision", "torchaudio")
    }
    (driver,) = Accelerator.parse(accelerator).driver
    tested = "".join(each.said for each in done.values())
    published = {path.name for path in replay.channel.glob("*/*.conda")}
    assert len(published) == len(wanted)
    for name in published:
        how = re.search(rf"^{re.escape(name)} \((.*)\)$", tested, re.MULTILINE)
        assert how is not None, f"{name} was not tested"
        assumed = f"as if {driver} were there, so not run on a GPU" in how[1]
        assert assumed == on_a_gpu(name), how[0]
    predicate = replay.actions.predicate
    assert predicate["result"] == "WARNED"
    assert {each.partition(":")[0] for each in predicate["passedTests"]} <= published
    warned = {each.partition(":")[0] for each in predicate["warnedTests"]}
    assert warned == {name for name in published if on_a_gpu(name)}
    assert all(each.endswith(": not run on a GPU") for each in predicate["warnedTests"])
    machine = Machine.of(subdirs()[ARM], native=False, driver=(driver,), added=[GLIBC])
    for python in ("3.12", "3.13"):
        specs = [f"python={python}", "pytorch=*=cuda*", "torchvision", "torchaudio"]
        found = solve(specs, channels=[replay.channel.as_uri(), base], machine=machine)
        builds = {row.name.normalized: str(row.build) for row in found}
        assert all(accelerator in builds[name] for name in ("pytorch", "libtorch", "torchvision"))
    what = "a release for CUDA" if alone else "one for both at once"
    noted(what, replay, f"as if {driver} were there, so not run on a GPU")
