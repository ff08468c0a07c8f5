"""Build numbers: raised when what a package is made from changed and its version did not (D8)."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from generator.building.policy import policy
from generator.errors import StaleError
from generator.feedstock import Feedstock
from generator.matrix import variants
from generator.model import BuildNumber, Lock
from generator.rendering.own_package import KEY as OWN_KEY
from generator.rendering.tree import recipe_files, recipes

#: package -> packages of the same line whose build numbers its recipe names
_PINNED: Final = {"pytorch-common": ("libtorch",), "pytorch": ("libtorch", "pytorch-common")}
#: label, subdir, accelerator and version
_Release = tuple[str, str, str, str]


def digests(feedstock: Feedstock, lock: Lock) -> dict[str, str]:
    """Return the digest of every recipe of the lock, by ``<line>/<package>``.

    sha256 over the recipe folder's files with every build number and digest left out, over the
    seal's format, and over the digests of the packages whose build numbers the recipe pins.
    """
    bare = replace(lock, builds={})
    found: dict[str, str] = {}
    for inputs in recipes(feedstock, bare, variants(feedstock, bare)):
        content = hashlib.sha256(f"seal {policy().seal.format}\n".encode())
        for path, data in sorted(recipe_files(inputs).items()):
            # not the folder: what moved to another line is still the same
            content.update(f"{posixpath.basename(path)} {len(data)}\n".encode())
            content.update(data)
        for pinned in _PINNED.get(inputs.package, ()):
            content.update(found.get(f"{inputs.line}/{pinned}", "").encode())
        found[inputs.name] = content.hexdigest()
    return found


def number_builds(
    feedstock: Feedstock,
    lock: Lock,
    old: Lock | None,
    *,
    taken: Mapping[str, int] = MappingProxyType({}),
) -> Lock:
    """Return the lock with a build number and a digest for every recipe.

    A package of another version than before, or a new one, starts at 0. One of the same version
    and another digest gets the next number; clients cache packages by file name. A release that
    moved to another line (yesterday's nightly) takes its number along.
    The lock's own build numbers are not looked at. ``taken``: by ``<line>/<package>``, what one
    that the old lock does not know starts at instead of 0.
    """
    # armtorch's own: `with_own_row`
    builds = {} if old is None else {k: v for k, v in old.builds.items() if k == OWN_KEY}
    now, before = _releases(feedstock, lock), {}
    if old is not None:  # it may have what the feedstock has ceased to ask for
        asked = tuple(cell for cell in old.cells if cell.subdir in {*map(str, feedstock.subdirs)})
        before = _releases(feedstock, replace(old, cells=asked))
    for name, digest in digests(feedstock, lock).items():
        known = _known(name, now[name], before, old)
        if known is None:
            number = taken.get(name, 0)
        else:
            number = known.number if known.digest == digest else known.number + 1
        builds[name] = BuildNumber(number=number, digest=digest)
    return replace(lock, builds=dict(sorted(builds.items())))


def _known(
    name: str,
    releases: frozenset[_Release],
    before: dict[str, frozenset[_Release]],
    old: Lock | None,
) -> BuildNumber | None:
    package = name.rpartition("/")[2]
    lines = [name, *(other for other in before if other.rpartition("/")[2] == package)]
    overlapping = (line for line in lines if releases & before.get(line, frozenset()))
    builds = old.builds if old is not None else {}
    return next((builds[line] for line in overlapping if line in builds), None)


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


def _releases(feedstock: Feedstock, lock: Lock) -> dict[str, frozenset[_Release]]:
    """Return what each recipe releases: label, subdir, accelerator, version of its variants."""
    found: dict[str, set[_Release]] = {}
    for variant in variants(feedstock, lock):
        label = feedstock.label(variant.train)
        place = (label, variant.subdir, str(variant.accelerator), variant.version)
        found.setdefault(f"{variant.line}/{variant.package}", set()).add(place)
    return {name: frozenset(places) for name, places in found.items()}
