"""Holds what the lock says of a wheel against the wheel's own files, as far as a package has them.

The lock has their sha256 and what `update` read in them. Whoever edits the second and computes the
lock's digest anew would have others depend on, or run, what upstream never said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from generator.errors import ArmtorchError
from generator.inspecting.contents import Contents
from generator.inspecting.deriving import SITE, dist_info, hexadecimal, stated
from generator.inspecting.proof import Flaw
from generator.inspecting.remaking import METADATA, RECORD, Known
from generator.model import Accelerator, Metadata, Variant, Wheel
from generator.model.accelerator import CUDA_LIBRARIES
from generator.upstream.core_metadata import parse_console_scripts, parse_metadata
from generator.upstream.equivalence import normalise
from generator.upstream.offers import parse_offer
from generator.upstream.wheel_reader import VERSION_FILE, stated_cuda

_SCRIPTS: Final = "entry_points.txt"


def texts(known: Known) -> Mapping[str, str]:
    """Return the packaged files to keep for :func:`disagreements`: member -> path."""
    rules = stated(known.layout, known.sha256, "shared") or {}
    wanted = {row["member"] for row in rules.get("equivalent", ())}
    wanted |= {f"{dist_info(known.record)}/{_SCRIPTS}", VERSION_FILE}
    return {member: path for path, member in known.account.unchanged.items() if member in wanted}


def disagreements(
    variant: Variant,
    said: Metadata | None,
    known: Known,
    info: Mapping[str, bytes],
    contents: Contents,
) -> Iterator[Flaw]:
    """Yield what the lock says of a wheel and its files do not.

    ``said`` is what the lock says is in its METADATA, which is held against RECORD elsewhere.
    ``contents`` are the packaged files, with the content of :func:`texts`.
    """
    wheel, folder = variant.wheels[0], dist_info(known.record)
    if hexadecimal(known.record[f"{folder}/METADATA"][0]) != wheel.metadata:
        yield Flaw(RECORD, "lists another METADATA than the lock")
    if METADATA in info:
        yield from _of_metadata(wheel, said, info[METADATA])
    if stated(known.layout, known.sha256, "dist_info"):
        yield from _of_scripts(wheel, folder, known, contents)
    if wheel.project == "torch":
        yield from _of_accelerator(variant.accelerator, known, contents)
    if shared := stated(known.layout, known.sha256, "shared"):
        yield from _of_shared(shared, known, contents)


def _of_metadata(wheel: Wheel, said: Metadata | None, content: bytes) -> Iterator[Flaw]:
    offer = parse_offer(wheel.filename, index=wheel.index, url="", sha256=None, size=None)
    try:
        found = parse_metadata(content, offer) if offer is not None else None
    except ArmtorchError as error:
        yield Flaw(METADATA, error.what)
        return
    if found is None or said is None or _acted_on(found) != _acted_on(said):
        yield Flaw(METADATA, "asks for other projects or Pythons than the lock says")


def _acted_on(said: Metadata) -> tuple[object, ...]:
    """Return what clients act on, whatever release of packaging wrote it down."""
    requires = {str(Requirement(text)) for text in said.requires_dist}
    return said.version, SpecifierSet(said.requires_python), requires


def _of_scripts(wheel: Wheel, folder: str, known: Known, contents: Contents) -> Iterator[Flaw]:
    found: tuple[str, ...] = ()
    if f"{folder}/{_SCRIPTS}" in known.record:
        path = f"{SITE}/{folder}/{_SCRIPTS}"
        seen = contents.files.get(path)
        with suppress(ArmtorchError):
            found = parse_console_scripts((seen and seen.content) or b"", path)
    if found != tuple(sorted(wheel.console_scripts)):
        yield Flaw(f"{folder}/{_SCRIPTS}", "has other commands than the lock says")


def _of_accelerator(said: Accelerator, known: Known, contents: Contents) -> Iterator[Flaw]:
    built = not CUDA_LIBRARIES.isdisjoint(path.rpartition("/")[2] for path in known.record)
    if built != (said.cuda is not None):
        yield Flaw(RECORD, f"is not of a torch for {said}")
    seen = contents.files.get(f"{SITE}/{VERSION_FILE}")
    if seen is not None and built and stated_cuda(seen.content or b"") != said.cuda:
        yield Flaw(f"{SITE}/{VERSION_FILE}", f"says another CUDA than {said}")


def _of_shared(shared: Mapping[str, Any], known: Known, contents: Contents) -> Iterator[Flaw]:
    """Prove what build.py does: it is these bytes that a libtorch is shared for (decision D2)."""
    equivalent = {row["member"]: row for row in shared["equivalent"]}
    left_out = {*shared["per_python"], *equivalent}
    lines = (
        f"{member},{hexadecimal(digest)},{size}\n"
        for member, (digest, size) in sorted(known.record.items())
        if member not in left_out
    )
    if hashlib.sha256("".join(lines).encode()).hexdigest() != shared["digest"]:
        yield Flaw(RECORD, "has other members to share between Pythons than the lock says")
    for member, path in texts(known).items():
        seen = contents.files.get(path)
        if member not in equivalent or seen is None or seen.content is None:
            continue
        rule, found = equivalent[member], b""
        with suppress(ValueError):
            found = normalise(rule["rule"], seen.content)
        if hashlib.sha256(found).hexdigest() != rule["normalised_sha256"]:
            yield Flaw(path, f"is not what other Pythons have, but for {rule['rule']}")
