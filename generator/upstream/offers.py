"""A wheel as an index offers it, before anything of it was read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packageurl import PackageURL
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import TypeAdapter, ValidationError

from generator.errors import MalformedError
from generator.model.cell import TrainName
from generator.model.names import WheelName
from generator.model.python_build import PythonBuild
from generator.model.wheel import built_for, is_for, serves
from generator.urls import public_url

#: what can be a path and a value everywhere; its length bounds what its tags multiply to (PEP 425,
#: compressed tag sets)
_NAME: Final = TypeAdapter(WheelName)
#: patch releases that are tried when a Requires-Python is asked about a minor version
_PATCHES = range(50)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One wheel on one index. ``url`` never leaves the run: the lock says purl and sha256."""

    #: name of the index in feedstock.yaml
    index: str
    project: str
    version: Version
    filename: str
    url: str
    #: hex, lower case; None when the index promises none
    sha256: str | None
    #: the index promises none, and the file is here to be hashed
    hash_computed: bool = False
    #: bytes; None when the index does not say
    size: int | None
    requires_python: str = ""
    #: None, or the (possibly empty) reason it was yanked for (PEP 592)
    yanked: str | None = None
    #: whether the index has a copy of METADATA (PEP 658), and its sha256 where it says it
    has_metadata: bool = False
    metadata_sha256: str | None = None
    #: when the index got it, ISO 8601; "" when it does not say
    uploaded: str = ""
    #: the accelerator it is said to be for; "" where only METADATA tells (see claims)
    claim: str = ""
    #: glibc that it needs at least, where its index is known to need more than the tags say
    glibc: str = ""
    #: why it is not to be used, as its name and its index have it; "" when nothing speaks against
    refused: str = ""
    #: whether that is because its index lists it with two hashes
    disputed: bool = False
    build: tuple[int, str] | tuple[()] = ()
    tags: frozenset[Tag] = frozenset()

    @property
    def purl(self) -> str:
        """The package URL that names this very file."""
        return PackageURL(
            "pypi", None, self.project, str(self.version), {"file_name": self.filename}
        ).to_string()

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags, sorted."""
        return tuple(sorted({tag.platform for tag in self.tags}))

    def python(self) -> PythonBuild | None:
        """Return the Python build it was made for; None for a wheel that serves every Python.

        For the stable ABI (`abi3`) it is the first of those that it serves.
        Raises ValueError: its tags are for something else than one CPython or any Python 3.
        """
        return built_for(self.tags)[0]

    @property
    def abi3(self) -> bool:
        """Whether it was built for the stable ABI."""
        return any(tag.abi == "abi3" for tag in self.tags)

    @property
    def passed_over(self) -> str:
        """Why it is there and not taken: yanked, or not what it should be; "" for a usable one."""
        if self.yanked is not None:
            return f"one was yanked ({self.yanked or 'no reason given'})"
        if self.refused:
            return f"{self.filename} on index {self.index} is passed over: {self.refused}"
        return ""

    @property
    def usable(self) -> bool:
        """Whether nothing that its index says speaks against it."""
        return self.yanked is None and not self.refused

    def is_for(self, patterns: Iterable[str]) -> bool:
        """Whether it is for a platform whose tags have one of these forms, or for any."""
        return is_for(self.platforms, patterns)

    def serves(self, python: PythonBuild) -> bool:
        """Whether its tags and its Requires-Python admit ``python``."""
        try:
            own = self.python()
        except ValueError:
            return False
        return serves(own, python, abi3=self.abi3) and self.admits(python)

    def admits(self, python: PythonBuild) -> bool:
        """Whether some release of ``python`` is in Requires-Python, as the index gives it."""
        try:
            wanted = SpecifierSet(self.requires_python)
        except InvalidSpecifier:
            return True  # METADATA, which is read later, decides
        return any(wanted.contains(f"{python.version}.{patch}") for patch in _PATCHES)


def parse_offer(filename: str, **facts: object) -> Offer | None:
    """Make an offer of a file name and the other fields; None for what is not a wheel.

    The name is read by PEP 427 through packaging.
    """
    try:
        _NAME.validate_python(filename)
        name, version, build, tags = parse_wheel_filename(filename)
    except (ValidationError, InvalidWheelFilename):
        return None
    return Offer(
        project=canonicalize_name(name),
        version=version,
        filename=filename,
        build=build,
        tags=tags,
        **facts,  # type: ignore[arg-type]
    )


def promised(offer: Offer, train: TrainName) -> None:
    """Refuse a stable wheel whose index gives no sha256: there is nothing to hold it against.

    Nightlies and candidates change daily, and their sha256 is computed once (see unhashed).
    Raises MalformedError: as said.
    """
    if offer.sha256 is None and train == "stable":
        raise MalformedError(
            f"the index gives no sha256 for {offer.filename}",
            where=public_url(offer.url),
            next_step="download it, check it, and offer it from an index of kind folder",
        )
