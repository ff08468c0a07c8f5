"""A wheel as a conda package: what pip would have made of it, where conda has it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from generator.debian.archive import PLACEHOLDER
from generator.errors import MalformedError, UnsafeArchiveError
from generator.inspecting.read_wheel import RefusedError, Wheel, member_time
from generator.model import Metadata
from generator.rendering.licenses import license_note
from generator.upstream.core_metadata import parse_console_scripts, parse_metadata
from generator.upstream.offers import Offer, parse_offer

#: a wheel that unpacks to more than this times its size is refused
_RATIO: Final = 40.0


@dataclass(frozen=True)
class WheelFile:
    """A wheel that is here, its sha256 checked."""

    path: Path
    sha256: str

    @cached_property
    def offer(self) -> Offer:
        """What its name says; raises MalformedError."""
        found = parse_offer(self.path.name, index="lock", url="", sha256=self.sha256, size=None)
        if found is None:
            raise MalformedError(
                "not a name of a wheel",
                where=self.path.name,
                next_step="run armtorch update",
            )
        return found

    @property
    def is_pure(self) -> bool:
        """Whether any machine can use it."""
        return self.offer.platforms == ("any",)

    def metadata(self) -> Metadata:
        """Read METADATA; raises MalformedError, UnsafeArchiveError."""
        with _opened(self.path) as wheel:
            text = wheel.read(f"{wheel.dist_info}/METADATA")
            return parse_metadata(text, self.offer, wheel.members)

    def licenses(self) -> dict[str, bytes]:
        """Return its licence files, or what it states, by their paths below info/."""
        said, folder = self.metadata(), f"licenses/{self.offer.project}"
        if not said.license_files:
            return {f"{folder}/stated.txt": license_note(said).encode()}
        with _opened(self.path) as wheel:
            return {
                f"{folder}/{name.partition('/')[2]}": wheel.read(name)
                for name in said.license_files
            }

    def timestamp(self) -> int:
        """Return the time of its newest member, milliseconds since 1970."""
        with _opened(self.path) as wheel:
            return int(max(map(member_time, wheel.members.values()))) * 1000


def unpack(path: Path, tree: Path, site_packages: str) -> tuple[str, ...]:
    """Unpack a wheel into a prefix; return its console scripts, ``name = module:function``.

    Raises UnsafeArchiveError: it is not what it says of itself, or a member has no place.
    """
    scripts: tuple[str, ...] = ()
    with _opened(path) as wheel:
        for name, info in wheel.members.items():
            target = tree / _place(name, site_packages, path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            own = name == f"{wheel.dist_info}/RECORD"
            with target.open("wb") as file:
                file.writelines((wheel.record_bytes,) if own else wheel.stream(name))
            if info.external_attr >> 16 & 0o100:
                target.chmod(0o755)
        if (entry_points := f"{wheel.dist_info}/entry_points.txt") in wheel.members:
            scripts = parse_console_scripts(wheel.read(entry_points), path.name)
        dist_info = tree / site_packages / wheel.dist_info
    (dist_info / "INSTALLER").write_text("conda\n")
    write_record(tree / site_packages, dist_info)
    return scripts


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


@contextmanager
def _opened(path: Path) -> Iterator[Wheel]:
    """Open a wheel whose members are checked against RECORD while they are read."""
    try:
        wheel = Wheel(path, _RATIO)
        with wheel.archive:
            yield wheel
    except RefusedError as error:
        what, _, next_step = str(error).partition("\n  next: ")
        raise UnsafeArchiveError(what, where=path.name, next_step=next_step) from error


def _place(member: str, site_packages: str, wheel: str) -> PurePosixPath:
    """Return where a wheel's member belongs in a conda package."""
    path = PurePosixPath(member)
    if path.parts[0].endswith(".data"):
        # pip keeps a project's headers apart from others', conda does not
        if path.parts[1] == "headers":
            return PurePosixPath("include", *path.parts[2:])
        if path.parts[1] != "data":
            raise UnsafeArchiveError(
                f"no place is known for {member}", where=wheel, next_step="leave it out"
            )
        return PurePosixPath(*path.parts[2:])
    return PurePosixPath(site_packages) / path
