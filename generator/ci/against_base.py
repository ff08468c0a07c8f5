"""``matrix --against-base``: whether a base channel has what the packages need (decision D12)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generator.datafiles import subdirs
from generator.feedstock import Feedstock
from generator.matrix import BaseVerdict, BlockedVariant, CellView, MatrixView
from generator.model import Accelerator, PythonBuild, Variant
from generator.project import Project, base_channels
from generator.rendering import render, tree_records
from generator.testing import ChannelSolver, Machine, NamedRecord, lacking, write_record_channel
from generator.transport.gateway import open_gateway
from generator.urls import channel_url


def against_base(
    project: Project,
    view: MatrixView,
    *,
    base: tuple[str, ...] = (),
    virtual_packages: tuple[str, ...] = (),
) -> MatrixView:
    """Solve every variant of the view on its own and the base channels' repodata.

    Nothing is built or downloaded but repodata: our own packages stand in as rendered.
    ``base`` are channels instead of the feedstock's: URLs, names or folders with recorded repodata.
    ``virtual_packages`` replace those of a common machine of the cell's kind, by name. A CUDA cell
    is solved for a machine with a driver for its own CUDA line.
    Raises UnreachableError: a channel did not answer. SelectionError: a virtual package that is
    none. RenderError: a recipe that rattler-build refuses.
    """
    feedstock = project.declared()
    tree = project.made(render)
    records = tree_records(tree)
    channels = tuple(map(channel_url, base))
    gateway = open_gateway()
    with tempfile.TemporaryDirectory(prefix="armtorch-records-") as folder:
        own = write_record_channel(records.values(), Path(folder))
        judge = _Judge({variant.id: variant for variant in tree.variants}, records)
        cells = []
        with project.narrator.task("solving against the base", total=len(view.cells)) as task:
            for cell in view.cells:
                solver = ChannelSolver(
                    channels=(own, *(channels or base_channels(feedstock, cell.subdir))),
                    machine=_machine(cell, virtual_packages),
                    gateway=gateway,
                )
                cells.append(replace(cell, base=judge.cell(cell, solver, channels, feedstock)))
                task.advance(1)
    return replace(view, cells=tuple(cells))


def _machine(cell: CellView, added: tuple[str, ...]) -> Machine:
    """Describe a machine that the cell is meant for."""
    driver = Accelerator.parse(cell.accelerator).driver
    return Machine.of(subdirs()[cell.subdir], native=False, driver=driver, added=added)


class _Judge:
    """Knows all variants and their records."""

    def __init__(self, variants: Mapping[str, Variant], records: Mapping[str, NamedRecord]) -> None:
        self._variants = variants
        self._records = records

    def cell(
        self, cell: CellView, solver: ChannelSolver, base: tuple[str, ...], feedstock: Feedstock
    ) -> BaseVerdict:
        blocked: dict[str, tuple[str, ...]] = {}
        for name in cell.variants:
            if by := self._variant(name, solver, blocked):
                blocked[name] = by
        channels = base or base_channels(feedstock, cell.subdir)
        return BaseVerdict(
            channels=channels,
            virtual_packages=solver.machine.virtual_packages,
            blocked=tuple(BlockedVariant(id=name, by=by) for name, by in blocked.items()),
            pythons=_pythons(cell, solver, channels) if blocked else {},
        )

    def _variant(
        self, name: str, solver: ChannelSolver, blocked: Mapping[str, tuple[str, ...]]
    ) -> tuple[str, ...]:
        """Return what keeps a variant from being installed; nothing where nothing does."""
        record = self._records[name][1]
        exact = f"{record['name']} =={record['version']} {record['build']}"
        if solver.solvable([exact]):
            return ()
        found = solver.blocking([*record["depends"]])
        deeper = dict.fromkeys(
            reason for spec in found for reason in self._reasons(spec, name, blocked)
        )
        return lacking(tuple(deeper)) or (exact,)

    def _reasons(
        self, spec: str, name: str, blocked: Mapping[str, tuple[str, ...]]
    ) -> tuple[str, ...]:
        """Say what blocks a package of ours that is asked for: that is known already."""
        variant = self._variants[name]
        below = [
            reasons
            for other, reasons in blocked.items()
            if _is(self._variants[other], spec.split(" ", 1)[0], variant)
        ]
        # a package for every Python is there as soon as one of those it needs is
        return min(below, key=len, default=(spec,))


def _pythons(cell: CellView, solver: ChannelSolver, channels: tuple[str, ...]) -> dict[str, str]:
    """Say which base channel has each Python that the cell's wheels are for, "" for none."""
    found = {}
    each = {name: replace(solver, channels=(name,), _asked={}) for name in channels}
    for text in cell.pythons:
        wanted = PythonBuild.parse(text).base_specs
        found[text] = next((name for name, own in each.items() if own.solvable(wanted)), "")
    return found


def _is(other: Variant, package: str, variant: Variant) -> bool:
    """Whether ``other`` is the package of that name which a variant of the same cell can take."""
    return other.package == package and (
        other.python is None or variant.python is None or other.serves(variant.python)
    )
