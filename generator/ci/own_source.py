"""Where the workflows of a channel install armtorch from: a version, a git commit or a wheel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from generator.documents import load_json
from generator.errors import AbsentError, SelectionError
from generator.rendering import ARMTORCH
from generator.upstream import Index
from generator.urls import local_path

_GIT: Final = re.compile(r"git\+(https|ssh)://[^\s@]+(@[^\s@/]+/[^\s@]+)?@[0-9a-f]{40}")
_BRANCH: Final = re.compile(r"git\+\S+")
#: what a build from source needs beforehand, since it gets nothing unhashed: as in pyproject.toml
BUILD_REQUIRES: Final = ("hatchling>=1.27",)
_NEXT: Final = (
    "say --armtorch git+https://HOST/OWNER/armtorch@COMMIT, with all 40 digits of the commit; or "
    "the path of a wheel of armtorch, which is put into the repository; or a version of an index"
)


@dataclass(frozen=True, kw_only=True)
class OwnSource:
    """One armtorch, by hash."""

    #: lines of a requirements file
    requirement: str
    #: what it needs to be installed, beside what it needs to run
    builds_with: tuple[str, ...] = ()
    #: what lies in the repository for it, by path
    files: Mapping[str, bytes] = field(default_factory=dict)


def own_source(asked: str, index: Index) -> OwnSource:
    """Read what ``--armtorch`` says; "" stands for where this armtorch was installed from.

    An installer writes that down in direct_url.json (PEP 610); without that file it is an index.
    Raises SelectionError: it is no commit, wheel or version, or runs from a folder of this machine.
    AbsentError, UnreachableError, MalformedError: as an index does that is asked for it.
    """
    asked = asked or _installed_from()
    if _GIT.fullmatch(asked):
        return OwnSource(requirement=f"armtorch @ {asked}\n", builds_with=BUILD_REQUIRES)
    if asked.endswith(".whl"):
        return _wheel(local_path(asked) or Path(asked))
    if asked.startswith("git+file:"):
        raise _unusable(f"{asked} lies on this machine, and no other one has it")
    if _BRANCH.fullmatch(asked):
        raise _unusable(f"{asked} names no commit, and what it names may move")
    try:
        version = Version(asked)
    except InvalidVersion as error:
        raise _unusable(f"{asked!r} is no commit, wheel or version") from error
    hashes = sorted(
        offer.sha256
        for offer in index.offers("armtorch")
        if offer.version == version and offer.sha256
    )
    if not hashes:
        raise AbsentError(
            f"it has no wheel of armtorch {version} with a sha256",
            where=index.name,
            next_step=_NEXT,
        )
    return OwnSource(requirement=_hashed(f"armtorch=={version}", hashes))


def own_requirements() -> tuple[str, ...]:
    """Return what this armtorch needs to run, without its extras (PEP 508)."""
    try:
        return tuple(
            each for each in distribution("armtorch").requires or () if "extra ==" not in each
        )
    except PackageNotFoundError as error:
        raise _unusable("armtorch is not installed, it runs from a folder") from error


def _wheel(path: Path) -> OwnSource:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}") from error
    place = f"{ARMTORCH.rpartition('/')[0]}/{path.name}"
    digest = hashlib.sha256(content).hexdigest()
    return OwnSource(requirement=_hashed(f"./{place}", [digest]), files={place: content})


def _hashed(what: str, hashes: list[str]) -> str:
    return " \\\n".join([what, *(f"    --hash=sha256:{each}" for each in hashes)]) + "\n"


def _installed_from() -> str:
    try:
        found = distribution("armtorch")
    except PackageNotFoundError as error:
        raise _unusable("armtorch is not installed, it runs from a folder") from error
    text = found.read_text("direct_url.json")
    if text is None:
        return found.version
    said = load_json(text.encode("utf-8"), "direct_url.json of armtorch")
    if "vcs_info" in said:
        return f"git+{said['url']}@{said['vcs_info']['commit_id']}"
    if "dir_info" in said:
        raise _unusable(f"this armtorch runs from {said['url']}, which no other machine has")
    return str(said["url"])


def _unusable(what: str) -> SelectionError:
    return SelectionError(what, where="--armtorch", next_step=_NEXT)
