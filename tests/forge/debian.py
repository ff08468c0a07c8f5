"""Debian's arm64 packages, fetched by apt into a private root (generator/compiling/apt.py)."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock

from generator.compiling.apt import Apt
from generator.compiling.running import run
from generator.debian.deb import upstream_version
from generator.errors import ArmtorchError
from tests.forge.errors import ForgeError

_ARCHITECTURE = "arm64"


@dataclass(frozen=True)
class Deb:
    """One fetched Debian package, its files in `folder`."""

    name: str
    suite: str
    path: Path
    sha256: str

    @property
    def folder(self) -> Path:
        """Where the files lie; a deb of other bytes has another folder."""
        return self.path.with_name(f"{self.path.stem}.{self.sha256[:16]}")

    @property
    def version(self) -> str:
        """Debian's own version, epoch and revision included."""
        return unquote(self.path.name).split("_")[1]

    @property
    def upstream_version(self) -> str:
        """The version without Debian's epoch, revision and repacking marks."""
        return upstream_version(self.version)


def fetch(wanted: Mapping[str, Collection[str]], cache: Path) -> dict[tuple[str, str], Deb]:
    """Fetch and unpack the debs of each suite; what is there from an earlier call stays."""
    cache.mkdir(parents=True, exist_ok=True)
    # one apt root serves all: whoever asks writes its sources anew
    with FileLock(cache / "apt.lock"):
        try:
            return _fetched(wanted, cache)
        except ArmtorchError as error:
            raise ForgeError(str(error)) from error


def _fetched(wanted: Mapping[str, Collection[str]], cache: Path) -> dict[tuple[str, str], Deb]:
    apt = Apt(
        folder=cache.absolute() / "apt",
        architectures=(_ARCHITECTURE,),
        suites=tuple(sorted(wanted)),
    )
    apt.update()
    found: dict[tuple[str, str], Deb] = {}
    for suite, names in sorted(wanted.items()):
        folder = cache / "debs" / suite
        listed = apt.fetch((f"{name}/{suite}" for name in sorted(names)), folder)
        debs = [Deb(each.name, suite, folder / each.file, each.sha256) for each in listed]
        for deb in debs:
            _unpack(deb)
            found[suite, deb.name] = deb
    return found


def _unpack(deb: Deb) -> None:
    """Put the deb's files into its folder, once."""
    if deb.folder.is_dir():
        return
    partial = deb.folder.with_name(f".{deb.folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    run(["dpkg-deb", "--extract", str(deb.path), str(partial)])
    partial.rename(deb.folder)
