"""Lets the linkage audit look at every package while it is built."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from generator.building import Contents, Judgement, place_of
from generator.datafiles import subdirs
from generator.errors import LinkageError
from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import AuditReport, linkage_policy
from generator.inspecting.prefix import Sibling
from generator.inspecting.rules import Rule
from generator.inspecting.wheel_symbols import unmet_in_wheel
from generator.model import Lock, Variant
from generator.packages import is_companion, projects, unbound
from generator.rendering.requirements import bundled_copies


@dataclass(frozen=True)
class LinkageCheck:
    """Audits one built package; frozen and plain, since it travels to worker processes."""

    #: what the cells' torch wheels bring, for the packages that depend on libtorch and pytorch
    lock: Lock
    #: verified wheels: where the torch of a cell is among them, its companions are held against it
    wheelhouse: Path | None = None

    def __call__(self, contents: Contents) -> Judgement:
        """Return the audit's notes, and the floor where the wheel's tag says too little.

        Raises LinkageError: the package must not be published; the message names file and reason.
        """
        variant = contents.variant
        if variant.subdir == "noarch":
            return Judgement()
        audit = PackageAudit(
            variant.package,
            subdir=subdirs()[variant.subdir],
            python=variant.python,
            symbols=_is_companion(variant),
        )
        for path, target in contents.files.items():
            if target is not None:
                audit.link(path, target)
        policy = linkage_policy()
        texts = (p for p, link in contents.files.items() if link is None and policy.reads_text(p))
        for path in (*contents.binaries, *texts):
            size = contents.place(path).stat().st_size
            audit.file(path, size, partial(_open, contents, path))
        depends = tuple(contents.index.get("depends", ()))
        if (floor := audit.raised_floor(depends)) is not None:
            depends = floor.raise_in(depends)
        report = audit.finish(depends, siblings=siblings(variant, self.lock))
        report.check()
        self._pair(variant, report)
        return Judgement(notes=tuple(str(note) for note in report.notes), floor=floor)

    def _pair(self, variant: Variant, report: AuditReport) -> None:
        """Raise LinkageError where a companion lacks symbols that its torch should have (D14)."""
        if self.wheelhouse is None or not _is_companion(variant):
            return
        cell = self.lock.by_name[variant.cell]
        here = [
            (wheel, path)
            for wheel in cell.wheels_of("torch")
            if wheel.python == variant.python or variant.python is None
            if (path := place_of(wheel, self.wheelhouse)).is_file()
        ]
        subdir = subdirs()[variant.subdir]
        for wheel, path in here[:1]:
            lacking = unmet_in_wheel(report, path, subdir=subdir, version=cell.torch)
            if lacking:
                raise LinkageError(
                    f"{Rule.UNMET.id} {lacking[0].path}: torch {wheel.version} has no "
                    f"{', '.join(each.symbol for each in lacking[:5])}",
                    where=variant.package,
                    next_step=f"{Rule.UNMET.id}: {Rule.UNMET.fix}",
                )


def _is_companion(variant: Variant) -> bool:
    return is_companion(projects().get(variant.package, ""))


def siblings(variant: Variant, lock: Lock) -> tuple[Sibling, ...]:
    """Describe libtorch and pytorch to the audit of a package that depends on one exact build."""
    if variant.package in {"libtorch", "pytorch-cpu", "pytorch-gpu", *unbound()}:
        return ()
    cell = lock.by_name[variant.cell]
    copies = bundled_copies(cell, "torch")
    gone = {copy.member.rpartition("/")[2] for copy in copies if copy.action != "keep"}
    own = [name for name in cell.libraries if name not in gone]
    python = [name for name in own if name.removeprefix("lib").startswith("torch_python.")]
    folder = "Library/bin" if subdirs()[variant.subdir].os == "win" else "lib"
    shared = [name for name in own if name not in python]
    depends = [copy.dependency.spec for copy in copies if copy.dependency is not None]
    found = [Sibling.named("libtorch", shared, depends=depends, folder=folder)]
    if variant.package != "pytorch":
        found.append(Sibling.named("pytorch", python, folder=folder, depends=["libtorch"]))
    return tuple(found)


def _open(contents: Contents, path: str) -> AbstractContextManager[BinaryIO]:
    return closing(contents.open(path))
