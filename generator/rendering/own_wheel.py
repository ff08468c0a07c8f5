"""armtorch itself as a wheel, made of the files that run: the same ones give the same bytes.

In a checkout those are the files that git tracks, elsewhere all that were installed, so that both
give one wheel. Nothing of a build back end is in it: neither its version nor its compressor, which
differ from machine to machine.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from generator.errors import AbsentError
from generator.model import Metadata, Wheel
from generator.rendering import templates

PROJECT: Final = "armtorch"
_PACKAGE: Final = Path(__file__).parents[1]
#: the earliest date that a zip can state: nothing here has a time of its own
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_LICENSE: Final = "licenses/LICENSE"
_WHEEL: Final = (
    f"Wheel-Version: 1.0\nGenerator: {PROJECT}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)
#: what a run leaves beside the files
_LEFT: Final = "__pycache__"


@dataclass(frozen=True, kw_only=True)
class OwnWheel:
    """The wheel, with what the other wheels' rows in the lock say of them."""

    content: bytes
    wheel: Wheel
    metadata: Metadata


@cache
def own_wheel() -> OwnWheel:
    """Make the wheel (binary distribution format, core metadata 2.4, entry points specification).

    Raises AbsentError: armtorch is not installed, so that nothing says what it needs.
    """
    try:
        installed = distribution(PROJECT)
    except PackageNotFoundError as error:
        raise AbsentError(
            "armtorch is not installed, it runs from a folder",
            where=str(_PACKAGE),
            next_step="pip install it, or say carry_armtorch: false in feedstock.yaml",
        ) from error
    requires = map(Requirement, installed.requires or ())
    metadata = Metadata(
        name=PROJECT,
        version=installed.version,
        summary=installed.metadata["Summary"],
        requires_python=installed.metadata["Requires-Python"],
        requires_dist=tuple(sorted(str(r) for r in requires if "extra" not in str(r.marker))),
        license=installed.metadata["License-Expression"],
        license_files=("LICENSE",),
    )
    stem = f"{PROJECT}-{installed.version}"
    files = {**_modules(), **_dist_info(f"{stem}.dist-info", installed, metadata)}
    record = _record(files, f"{stem}.dist-info/RECORD")
    content = _zip({**files, f"{stem}.dist-info/RECORD": record})
    name = f"{stem}-py3-none-any.whl"
    wheel = Wheel(
        project=PROJECT,
        version=installed.version,
        filename=name,
        purl=f"pkg:pypi/{PROJECT}@{installed.version}?file_name={name}",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        hash_origin="computed",
        index=PROJECT,
        python=None,
        platforms=("any",),
        metadata=hashlib.sha256(files[f"{stem}.dist-info/METADATA"]).hexdigest(),
        metadata_origin="whole",
        record=hashlib.sha256(record).hexdigest(),
        console_scripts=tuple(f"{n} = {v}" for n, v in _points(installed, "console_scripts")),
    )
    return OwnWheel(content=content, wheel=wheel, metadata=metadata)


def _modules() -> dict[str, bytes]:
    """Return the package's files by their places in a wheel, the templates inside of it."""
    root, name, inside = _PACKAGE.parent, _PACKAGE.name, templates.folder()
    folders = {_PACKAGE: name, inside: f"{name}/templates"}
    tracked = _tracked(root, (name, inside.name))
    return {
        f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for folder, place in folders.items()
        for path in folder.rglob("*")
        if path.is_file()
        and _LEFT not in path.parts
        and (tracked is None or path.relative_to(root).as_posix() in tracked)
    }


def _tracked(root: Path, folders: tuple[str, ...]) -> frozenset[str] | None:
    """Return what git tracks of a checkout; None where it is none, or nobody can ask.

    A repository that does not track this very file is another one around an unpacked armtorch.
    """
    if not (root / ".git").exists():
        return None
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--", *folders]
    # a hook of git's is run with variables that lead to its own repository
    around = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(command, cwd=root, env=around, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    listed = frozenset(done.stdout.decode("utf-8", "surrogateescape").split("\0"))
    return listed if Path(__file__).relative_to(root).as_posix() in listed else None


def _points(installed: Distribution, group: str) -> list[tuple[str, str]]:
    return sorted((e.name, e.value) for e in installed.entry_points if e.group == group)


def _dist_info(folder: str, installed: Distribution, said: Metadata) -> dict[str, bytes]:
    groups = sorted({each.group for each in installed.entry_points})
    texts = {
        "METADATA": "".join(f"{line}\n" for line in _headers(said)),
        "WHEEL": _WHEEL,
        "entry_points.txt": "\n".join(
            f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in _points(installed, group))
            for group in groups
        ),
        _LICENSE: installed.read_text(_LICENSE) or "",
    }
    return {f"{folder}/{name}": text.encode("utf-8") for name, text in texts.items()}


def _headers(said: Metadata) -> Iterator[str]:
    yield "Metadata-Version: 2.4"
    yield f"Name: {said.name}"
    yield f"Version: {said.version}"
    yield f"Summary: {said.summary}"
    yield f"License-Expression: {said.license}"
    yield f"License-File: {said.license_files[0]}"
    yield f"Requires-Python: {said.requires_python}"
    yield from (f"Requires-Dist: {each}" for each in said.requires_dist)


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((own, "", ""))
    return text.getvalue().encode("utf-8")


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Store the members: what deflate makes of them is its release's affair."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            member = zipfile.ZipInfo(name, _TIME)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, content)
    return buffer.getvalue()
