"""Build numbers: raised when what a package is made from changed and its version did not (D8)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from generator.errors import StaleError
from generator.feedstock import Feedstock
from generator.matrix import variants
from generator.model import BuildNumber, Lock
from generator.rendering.tree import recipe_files, recipes

#: package -> packages of the same line whose build numbers its recipe names
_PINNED: Final = {"pytorch-common": ("libtorch",), "pytorch": ("libtorch", "pytorch-common")}


def digests(feedstock: Feedstock, lock: Lock) -> dict[str, str]:
    """Return the digest of every recipe of the lock, by ``<line>/<package>``.

    sha256 over the recipe folder's files with every build number and digest left out, and over the
    digests of the packages whose build numbers the recipe pins.
    """
    bare = replace(lock, builds={})
    found: dict[str, str] = {}
    for inputs in recipes(feedstock, bare, variants(feedstock, bare)):
        content = hashlib.sha256()
        for path, data in sorted(recipe_files(inputs).items()):
            content.update(f"{path} {len(data)}\n".encode())
            content.update(data)
        for pinned in _PINNED.get(inputs.package, ()):
            content.update(found.get(f"{inputs.line}/{pinned}", "").encode())
        found[inputs.name] = content.hexdigest()
    return found


def number_builds(feedstock: Feedstock, lock: Lock, old: Lock | None) -> Lock:
    """Return the lock with a build number and a digest for every recipe.

    A package of another version than before, or a new one, starts at 0. One of the same version
    and another digest gets the next number; clients cache packages by file name.

    Args:
        feedstock: what the channel is to offer.
        lock: what upstream has now; its own build numbers are not looked at.
        old: the lock as it was.

    """
    builds: dict[str, BuildNumber] = {}
    now, before = _releases(feedstock, lock), _releases(feedstock, old) if old else {}
    for name, digest in digests(feedstock, lock).items():
        known = old.builds.get(name) if old is not None else None
        if known is None or not now[name] & before.get(name, frozenset()):
            number = 0
        else:
            number = known.number if known.digest == digest else known.number + 1
        builds[name] = BuildNumber(number=number, digest=digest)
    return replace(lock, builds=dict(sorted(builds.items())))


def check_numbers(feedstock: Feedstock, lock: Lock) -> None:
    """Raise StaleError when a recipe changed and its build number in the lock did not."""
    stale = [
        name
        for name, digest in digests(feedstock, lock).items()
        if name not in lock.builds or lock.builds[name].digest != digest
    ]
    if stale:
        more = f" and {len(stale) - 3} more" if len(stale) > 3 else ""
        raise StaleError(
            f"made from other inputs than their build numbers stand for: "
            f"{', '.join(stale[:3])}{more}",
            where="feedstock.lock.yaml",
            next_step="run `armtorch render --renumber`, "
            "which raises the numbers in the lock and writes the recipes",
        )


def _releases(feedstock: Feedstock, lock: Lock) -> dict[str, frozenset[tuple[str, str, str]]]:
    """Return what each recipe releases: subdir, accelerator and version of its variants."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for variant in variants(feedstock, lock):
        place = (variant.subdir, str(variant.accelerator), variant.version)
        found.setdefault(f"{variant.line}/{variant.package}", set()).add(place)
    return {name: frozenset(places) for name, places in found.items()}
