"""From a local index to a channel, for one subdir: what the end-to-end tests of cells share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.building import BuildReport
from generator.channel import LocalChannel
from generator.matrix import variants
from generator.model import Cell, Variant
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests.index_server import IndexServer
from tests.integration.updating import Heard
from tests.synthetic_wheels import TinyWheel

FEEDSTOCK = """\
channel: synthetic
maintainers: [someone]
carry_armtorch: false
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [newest], indexes: [pypi]}}
subdirs:
  {subdir}: {{accelerators: [{accelerators}], base: [conda-forge]}}
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the whole line made of some wheels."""

    project: Project
    channel: LocalChannel
    variants: tuple[Variant, ...]
    heard: Heard
    report: BuildReport

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the lock."""
        return self.project.locked().cells

    def packages(self, name: str) -> list[Path]:
        """The package files of one name, sorted."""
        return sorted(self.channel.root.glob(f"*/{name}-[0-9]*.conda"))


def open_project(
    folder: Path, server: IndexServer, subdir: str, *, accelerators: Sequence[str] = ("cpu",)
) -> Project:
    """Declare a feedstock of one subdir whose pip is configured to use the server."""
    root = folder / "feedstock"
    root.mkdir(parents=True, exist_ok=True)
    text = FEEDSTOCK.format(subdir=subdir, accelerators=", ".join(accelerators))
    (root / "feedstock.yaml").write_text(text)
    return Project(
        feedstock=root / "feedstock.yaml",
        narrator=Heard(),
        environment={
            "PIP_INDEX_URL": server.url,
            "PIP_CONFIG_FILE": "/dev/null",
            "HOME": str(folder),
        },
        cache=folder / "cache",
    )


def updated(
    folder: Path,
    wheels: Iterable[TinyWheel],
    subdir: str,
    *,
    accelerators: Sequence[str] = ("cpu",),
    packages: Sequence[str] = (),
) -> Line:
    """Serve the wheels, update, render and build everything, or some packages only.

    Raises:
        ArmtorchError: as the stages.

    """
    for wheel in wheels:
        wheel.write(folder / "index")
    with IndexServer(folder / "index") as server:
        project = open_project(folder, server, subdir, accelerators=accelerators)
        heard = project.narrator
        assert isinstance(heard, Heard)
        for finding in update_lock(project).findings:
            heard.warn(str(finding))
        render_feedstock(project)
        found = variants(project.declared(), project.locked())
        channel = LocalChannel(folder / "channel")
        chosen = [v for v in found if not packages or v.package in packages]
        options = BuildOptions(channel=channel, jobs=2, level=1)
        report = build_variants(project, chosen, options)
        report.raise_for_failures()
    return Line(project=project, channel=channel, variants=found, heard=heard, report=report)
