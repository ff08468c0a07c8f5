"""One package of Debian's: what its control file says, and its files, unpacked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from packageurl import PackageURL

from generator.compiling.running import run
from generator.errors import MalformedError

#: one of a list of alternatives: ``libblas3 | libblas.so.3 (>= 3)``, ``python3:any``
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.+-]+")


@dataclass(frozen=True)
class Deb:
    """A .deb that is here, its sha256 checked."""

    name: str
    #: Debian's, with epoch and revision
    version: str
    architecture: str
    path: Path
    sha256: str
    #: a folder of its own
    work: Path = field(compare=False)

    @property
    def upstream(self) -> str:
        """The version without Debian's epoch, revision and repacking marks."""
        return upstream_version(self.version)

    def purl(self, suite: str) -> str:
        """Return what the lock calls it."""
        return deb_purl(self.name, self.version, self.architecture, suite)

    @cached_property
    def folder(self) -> Path:
        """Where its files lie; no script of it runs."""
        folder = self.work / self.sha256[:16]
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            run(["dpkg-deb", "--extract", str(self.path), str(part)])
            part.rename(folder)
        return folder

    @cached_property
    def control(self) -> dict[str, str]:
        """The fields of its control file; of the description, the first line."""
        found: dict[str, str] = {}
        last = ""
        for line in run(["dpkg-deb", "--field", str(self.path)]).splitlines():
            if not line.startswith((" ", "\t")):
                last, _, value = line.partition(":")
                found[last] = value.strip()
            elif last not in {"Description", ""}:
                found[last] += f" {line.strip()}"
        return found

    def dependencies(self) -> Iterator[tuple[str, ...]]:
        """Give the names of the packages that each of its dependencies can be met by."""
        for key in ("Pre-Depends", "Depends"):
            for group in filter(None, self.control.get(key, "").split(",")):
                names = [_NAME.match(each.strip()) for each in group.split("|")]
                if not all(names):
                    raise MalformedError(
                        f"{key} has {group.strip()!r}",
                        where=self.path.name,
                        next_step="report it to Debian",
                    )
                yield tuple(each[0] for each in names if each)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Give its files and links by their paths in Debian, sorted."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_symlink() or path.is_file():
                yield path.relative_to(self.folder).as_posix(), path


def upstream_version(version: str) -> str:
    """Return the part of a version that is upstream's: ``3.5.9`` of ``3.5.9-1~deb13u1``."""
    version = version.split(":", 1)[-1].rsplit("-", 1)[0]
    return version.split("+", 1)[0].split("~", 1)[0]


def deb_file(name: str, version: str, architecture: str) -> str:
    """Return apt's name of the file."""
    return f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"


def deb_purl(name: str, version: str, architecture: str, suite: str) -> str:
    """Return the purl of a package (purl type ``deb``)."""
    qualifiers = {"arch": architecture, "distro": suite}
    return PackageURL("deb", "debian", name, version, qualifiers).to_string()
