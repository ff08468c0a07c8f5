"""Upstream's indexes on this machine, with synthetic wheels, and feedstocks that read them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from generator.feedstock import read_feedstock
from generator.model import Lock
from generator.project import Project
from generator.updating import Outcome
from tests.index_formats import DevpiSite, NvidiaSite, PytorchSite
from tests.index_server import IndexServer
from tests.integration.updating import TODAY, Heard, run_update
from tests.synthetic_wheels import Release, TinyWheel

_HEAD = """\
channel: armtorch
maintainers: [me]
carry_armtorch: false
pythons: ["3.12"]
packages: [torch, torchvision, torchaudio]
"""


@dataclass
class World:
    """A server for pages, another for files, and a folder with a feedstock."""

    folder: Path
    pages: IndexServer
    files: IndexServer
    pytorch: PytorchSite
    devpi: DevpiSite
    nvidia: NvidiaSite

    @property
    def wheels(self) -> Path:
        """Below it: ``whl/cpu``, ``jp6/cu126``, ``nvtorch_oot``; the servers' own: ``pypi``."""
        return self.folder / "wheels"

    def put(self, sub: str, *wheels: TinyWheel) -> None:
        """Upload wheels."""
        for wheel in wheels:
            wheel.write(self.wheels / sub)

    def project(self, feedstock: str) -> Project:
        """Write feedstock.yaml; ``{root}`` in it is the address of the pages."""
        text = _HEAD + feedstock.replace("{root}", self.pages.root)
        (self.folder / "repo").mkdir(exist_ok=True)
        path = self.folder / "repo" / "feedstock.yaml"
        path.write_text(text.replace("{wheels}", str(self.wheels)), encoding="utf-8")
        return Project(
            feedstock=path,
            narrator=Heard(),
            environment={"PIP_INDEX_URL": self.pages.url, "PATH": "", "PIP_CONFIG_FILE": ""},
            cache=self.folder / "cache",
        )

    def update(self, feedstock: str, old: Lock | None = None, *, today: str = TODAY) -> Outcome:
        """One update, without writing a lock."""
        asked = read_feedstock(self.project(feedstock).feedstock)
        cache = self.folder / "cache"
        return run_update(self.pages, cache, old=old, asked=asked, today=today)

    def forget_cache(self) -> None:
        """As on another machine."""
        shutil.rmtree(self.folder / "cache")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start the servers; files of download.pytorch.org are on another host than its pages."""
    wheels = folder / "wheels"
    (wheels / "pypi").mkdir(parents=True)
    sites = PytorchSite(wheels), DevpiSite(wheels), NvidiaSite(wheels)
    with ExitStack() as stack:
        pages = stack.enter_context(IndexServer(wheels / "pypi"))
        files = stack.enter_context(IndexServer(wheels / "nothing"))
        sites[0].files = files.root
        pages.sites += sites
        files.sites.append(sites[0])
        yield World(folder, pages, files, *sites)


def trio(
    torch: str,
    vision: str,
    audio: str,
    *,
    label: str = "",
    accelerator: str = "cpu",
    subdir: str = "linux-aarch64",
    pythons: Sequence[str] = ("cp312",),
    tag: str = "",
    machine: str = "",
    glibc: str = "",
) -> list[TinyWheel]:
    """Synthetic wheels of the three projects."""
    release = Release(
        subdir=subdir,
        torch=torch,
        torchvision=vision,
        torchaudio=audio,
        accelerator=accelerator,
        local=label,
        tag=tag,
        machine=machine,
        glibc=glibc,
    )
    return release.wheels(pythons)
