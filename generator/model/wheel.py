"""An upstream wheel: identity, never location (decision D1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from packaging.tags import Tag
from pydantic import Field

from generator.model.closed import Closed
from generator.model.fields import PythonBuildText
from generator.model.names import (
    ConsoleScript,
    Glibc,
    IndexName,
    MemberPath,
    Milliseconds,
    Moment,
    PackageText,
    PlainText,
    PlatformTag,
    RequirementText,
    Sha256,
    ShownText,
    Size,
    SpecifierText,
    VersionText,
    WheelName,
)
from generator.model.python_build import PythonBuild

#: upstream's name on PyPI of the three packages, which is also the key of a trio
ProjectName = Literal["torch", "torchvision", "torchaudio"]
#: where the sha256 comes from: promised by the index, or computed at the first fetch
HashOrigin = Literal["index", "computed"]
#: where METADATA was read: the index's own copy (PEP 658) or a range read of the wheel
MetadataOrigin = Literal["pep658", "range", "whole"]


@dataclass(frozen=True, kw_only=True)
class Wheel(Closed):
    """One wheel file as an index offered it, with what its dist-info says."""

    #: normalised project name on the index
    project: PackageText
    version: VersionText
    filename: WheelName
    #: ``pkg:pypi/torch@2.10.0?file_name=...``
    purl: ShownText
    #: bytes
    size: Size
    sha256: Sha256
    hash_origin: HashOrigin = "index"
    #: name of the index in feedstock.yaml
    index: IndexName
    #: rc and nightly: when the index got it (ISO 8601), where it says so
    uploaded: Moment = ""
    #: the Python it was built for; None for ``py3-none``
    python: PythonBuildText | None
    #: built for the stable ABI (PEP 384): serves ``python`` and all later ones with a GIL
    abi3: bool = False
    #: platform tags, ``manylinux_2_28_aarch64``
    platforms: tuple[PlatformTag, ...]
    #: glibc it needs at least by its index in feedstock.yaml; "" for what the tags say
    glibc: Glibc = ""
    #: sha256 of METADATA, the key into the lock's ``metadata``
    metadata: Sha256
    metadata_origin: MetadataOrigin
    #: sha256 of RECORD, read by range request
    record: Sha256
    #: milliseconds since 1970 of the newest member, read as UTC since a zip knows no zone: the time
    #: of packages made from it; 0 where the lock does not have it
    timestamp: Milliseconds = 0
    #: ``torchrun = torch.distributed.run:main``, sorted
    console_scripts: tuple[ConsoleScript, ...] = ()

    def serves(self, python: PythonBuild) -> bool:
        """Whether this wheel is one for ``python``."""
        return serves(self.python, python, abi3=self.abi3)


def serves(built_for: PythonBuild | None, python: PythonBuild, *, abi3: bool) -> bool:
    """Whether what was built for one Python, or for any, runs on ``python``.

    The stable ABI (PEP 384) is that of the build with a GIL (PEP 803 is about the other one).
    """
    if abi3 and built_for is not None:
        return not python.freethreading and built_for <= python
    return built_for in {None, python}


def built_for(tags: Iterable[Tag]) -> tuple[PythonBuild | None, bool]:
    """Return the Python build that tags (PEP 425) are of, and whether for the stable ABI.

    None is for every Python; for the stable ABI it is the first of those that are served.
    Raises ValueError: they are for something else than one CPython or any Python 3.
    """
    tags = tuple(tags)
    builds = {_python_of(tag) for tag in tags}
    if len(builds) != 1:
        raise ValueError("it is tagged for several Pythons")
    return builds.pop(), any(tag.abi == "abi3" for tag in tags)


def _python_of(tag: Tag) -> PythonBuild | None:
    """Read one tag; upstream's older macOS wheels are ``cp310-none-macosx...``."""
    if tag.abi == "none":
        return None if tag.interpreter in {"py3", "py2"} else PythonBuild.from_abi(tag.interpreter)
    return PythonBuild.from_abi(tag.interpreter if tag.abi == "abi3" else tag.abi)


def is_for(platforms: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether one of a wheel's platform tags has one of these forms, or is for any."""
    each = re.compile("|".join(("any", *patterns)))
    return any(each.fullmatch(platform) for platform in platforms)


@dataclass(frozen=True, kw_only=True)
class Metadata(Closed):
    """What a wheel's METADATA says (core metadata specification), shared by equal wheels."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$")]
    version: VersionText
    summary: ShownText = ""
    requires_python: SpecifierText = ""
    #: PEP 508, unevaluated, in the file's order without repeats
    requires_dist: tuple[RequirementText, ...] = ()
    license: PlainText = ""
    #: member paths of licence files inside the wheel, from License-File (PEP 639) and RECORD
    license_files: tuple[MemberPath, ...] = ()
    home: PlainText = ""
