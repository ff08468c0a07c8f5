"""A wheel as a conda package: what pip would have made of it, where conda has it."""

from __future__ import annotations

import base64
import calendar
import csv
import hashlib
import io
import stat
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import parse_wheel_filename

from generator.debian.archive import PLACEHOLDER
from generator.documents import open_zip
from generator.errors import UnsafeArchiveError
from generator.model.names import bad_path

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class WheelFile:
    """A wheel that is here, its sha256 checked."""

    path: Path
    sha256: str

    @property
    def project(self) -> str:
        """Its normalised name."""
        return str(parse_wheel_filename(self.path.name)[0])

    @property
    def version(self) -> str:
        """Its version."""
        return str(parse_wheel_filename(self.path.name)[1])

    @property
    def is_pure(self) -> bool:
        """Whether any machine can use it."""
        return all(tag.platform == "any" for tag in parse_wheel_filename(self.path.name)[3])

    def headers(self) -> dict[str, list[str]]:
        """Read METADATA."""
        with self.path.open("rb") as file, open_zip(file, self.path.name) as archive:
            name = next(each for each in archive.namelist() if _is_own(each, "METADATA"))
            parsed = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
        return {key: parsed.get_all(key) or [] for key in parsed}

    def licenses(self) -> dict[str, bytes]:
        """Return its licence files by their paths below info/."""
        with self.path.open("rb") as file, open_zip(file, self.path.name) as archive:
            return {
                f"licenses/{self.project}/{PurePosixPath(name).name}": archive.read(name)
                for name in archive.namelist()
                if _is_license(PurePosixPath(name))
            }

    def timestamp(self) -> int:
        """Return the time of its newest member, milliseconds since 1970."""
        with self.path.open("rb") as file, open_zip(file, self.path.name) as archive:
            newest = max((each.date_time for each in archive.infolist()), default=_EARLIEST)
        return calendar.timegm((*newest, 0, 0, 0)) * 1000


def unpack(wheel: Path, tree: Path, site_packages: str) -> list[str]:
    """Unpack a wheel into a prefix; return its console scripts, ``name = module:function``.

    Raises UnsafeArchiveError: a member would leave the package, or has no place in one.
    """
    with wheel.open("rb") as file, open_zip(file, wheel.name) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            target = tree / _place(info.filename, site_packages, wheel.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(info))
            if info.external_attr >> 16 & stat.S_IXUSR:
                target.chmod(0o755)
    (dist_info,) = (tree / site_packages).glob("*.dist-info")
    (dist_info / "INSTALLER").write_text("conda\n")
    write_record(tree / site_packages, dist_info)
    return sorted(_scripts(dist_info / "entry_points.txt"))


def write_record(root: Path, dist_info: Path) -> None:
    """List what is really there, as pip would have on installing (INSTALLER is new)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    record = dist_info / "RECORD"
    for path in sorted(root.rglob("*")):
        if path.is_file() and path != record:
            data = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            writer.writerow([path.relative_to(root).as_posix(), f"sha256={digest}", len(data)])
    writer.writerow([record.relative_to(root).as_posix(), "", ""])
    record.write_text(text.getvalue(), encoding="utf-8")


def write_launchers(folder: Path, scripts: Iterable[str]) -> None:
    """Write what a client writes by itself for a package of any Python."""
    for script in scripts:
        name, target = (part.strip() for part in script.split("=", 1))
        module, function = target.split(":", 1)
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(
            f"#!{PLACEHOLDER}/bin/python\n"
            "import sys\n"
            f"from {module} import {function}\n"
            f"sys.exit({function}())\n"
        )
        path.chmod(0o755)


def _place(member: str, site_packages: str, wheel: str) -> PurePosixPath:
    """Return where a wheel's member belongs in a conda package."""
    if (why := bad_path(member)) is not None:
        raise _unsafe(f"{member!r}: {why}", wheel)
    path = PurePosixPath(member)
    if path.parts[0].endswith(".data"):
        # pip keeps a project's headers apart from others', conda does not
        if path.parts[1] == "headers":
            return PurePosixPath("include", *path.parts[2:])
        if path.parts[1] != "data":
            raise _unsafe(f"no place is known for {member}", wheel)
        return PurePosixPath(*path.parts[2:])
    return PurePosixPath(site_packages) / path


def _scripts(path: Path) -> Iterator[str]:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.read(path, encoding="utf-8")
    if parser.has_section("console_scripts"):
        yield from (f"{name} = {target}" for name, target in parser["console_scripts"].items())


def _is_own(member: str, name: str) -> bool:
    """Whether a member is a file of the wheel's own dist-info, not of one that it bundles."""
    parts = PurePosixPath(member).parts
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == name


def _is_license(member: PurePosixPath) -> bool:
    parts = member.parts
    named = member.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))
    return parts[0].endswith(".dist-info") and (named or "licenses" in parts[1:-1])


def _unsafe(what: str, wheel: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(what, where=wheel, next_step="do not use this file; report it")
