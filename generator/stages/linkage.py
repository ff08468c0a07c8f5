"""Lets the linkage audit look at every package while it is built."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from generator.building import Contents
from generator.datafiles import subdirs
from generator.inspecting import PackageAudit, Sibling
from generator.model import Variant


@dataclass(frozen=True)
class LinkageCheck:
    """Audits one built package; frozen and plain, since it travels to worker processes."""

    #: variant id -> names of the armtorch packages it depends on -> file names of their libraries
    siblings: dict[str, dict[str, tuple[str, ...]]]
    variants: dict[str, Variant]

    def __call__(self, contents: Contents) -> tuple[str, ...]:
        """Return the audit's notes.

        Raises:
            LinkageError: the package must not be published; the message names file and reason.

        """
        variant = self.variants[contents.variant_id]
        if variant.subdir == "noarch":
            return ()
        audit = PackageAudit(
            variant.package, subdir=subdirs()[variant.subdir], python=variant.python
        )
        for path, target in contents.files.items():
            if target is not None:
                audit.link(path, target)
        for path in contents.binaries:
            size = (contents.prefix / path).stat().st_size
            audit.file(path, size, partial(_open, contents, path))
        report = audit.finish(
            tuple(contents.index.get("depends", ())),
            siblings=tuple(
                Sibling.named(package, names)
                for package, names in self.siblings[contents.variant_id].items()
            ),
        )
        report.check()
        return tuple(str(note) for note in report.notes)


def _open(contents: Contents, path: str) -> AbstractContextManager[BinaryIO]:
    return closing(contents.open(path))
