"""Decides what a base is made of: what apt's signed index has, and the wheels of an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from packageurl import PackageURL

from generator.compiling.apt import Apt
from generator.debian.deb import deb_file, deb_purl
from generator.debian.rows import BaseRows, Target
from generator.documents import parse_specifiers
from generator.errors import AbsentError, LockError
from generator.model import Pin, PythonBuild, Subdir
from generator.upstream.offers import Offer


@dataclass(frozen=True)
class Pinned:
    """A file that the lock names."""

    filename: str
    size: int
    sha256: str
    name: str
    version: str
    #: Debian's; "" for a wheel
    architecture: str = ""

    @property
    def asked(self) -> str:
        """What apt is asked for to get this very .deb."""
        of = "" if self.architecture == "all" else f":{self.architecture}"
        return f"{self.name}{of}={self.version}"

    @classmethod
    def of(cls, pin: Pin) -> Pinned:
        """Read a row of the lock; raises LockError."""
        try:
            purl = PackageURL.from_string(pin.purl)
            marks = dict(purl.qualifiers)
            version = purl.version or ""
            if purl.type == "deb":
                filename = deb_file(purl.name, version, marks["arch"])
                return cls(filename, pin.size, pin.sha256, purl.name, version, marks["arch"])
            return cls(marks["file_name"], pin.size, pin.sha256, purl.name, version)
        except (ValueError, KeyError) as error:
            raise LockError(
                f"base has {pin.purl!r}, which names no .deb and no wheel",
                where="feedstock.lock.yaml",
                next_step="run armtorch update",
            ) from error


def deb_pins(apt: Apt, rows: BaseRows, suite: str) -> Iterator[Pin]:
    """Give what apt would fetch for every package of the rows; raises as Apt does."""
    for each in apt.listed(rows.debs()):
        name, version, architecture = each.file.removesuffix(".deb").split("_")
        purl = deb_purl(name, unquote(version), architecture, suite)
        yield Pin(purl=purl, sha256=each.sha256, size=each.size)


def wheel_pins(
    offers: Callable[[str], Iterable[Offer]], rows: BaseRows, target: Target, subdir: Subdir
) -> Iterator[Pin]:
    """Give the newest wheel of each row that is for the Python, pure or of the subdir.

    Raises AbsentError: there is none. UnreachableError, MalformedError: as an index does.
    """
    python = PythonBuild.parse(target.python)
    for row in rows.wheels:
        versions = parse_specifiers(row.versions, "generator/data/debian.yaml")
        fitting = [
            each
            for each in offers(row.project)
            if each.usable
            and each.sha256 is not None
            and each.size is not None
            and each.yanked is None
            and each.version in versions
            and not each.version.is_prerelease
            and each.is_for(subdir.wheel_platforms)
            and each.serves(python)
        ]
        best = max(fitting, key=lambda each: (each.version, each.filename), default=None)
        if best is None or best.sha256 is None or best.size is None:
            raise AbsentError(
                f"no index has a wheel of {row.project} {row.versions} for {target.subdir} and "
                f"Python {target.python}",
                where=f"base of {target.subdir}",
                next_step="mend its row in generator/data/debian.yaml",
            )
        yield Pin(purl=best.purl, sha256=best.sha256, size=best.size)
