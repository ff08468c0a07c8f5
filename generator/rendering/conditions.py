"""Selectors over conda-forge's variant keys, as short as they can be and still right (D11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from generator.model import Accelerator, PythonBuild, Variant


@dataclass(frozen=True, order=True)
class Place:
    """Where a variant of a recipe is: all that a selector can ask about."""

    subdir: str
    accelerator: Accelerator
    python: PythonBuild | None

    @classmethod
    def of(cls, variant: Variant) -> Place:
        """Return the place of a variant."""
        return cls(variant.subdir, variant.accelerator, variant.python or variant.group)


@dataclass(frozen=True)
class Row:
    """What stands in a recipe's list under one condition; None for always."""

    condition: str | None
    items: tuple[str, ...]


def rows(wanted: Mapping[Place, Sequence[str]]) -> tuple[Row, ...]:
    """Merge one list per place into rows: what all have first, then what only some have.

    The order of the items is kept; items that belong to the same places share a row.
    """
    universe = frozenset(wanted)
    owners: dict[str, set[Place]] = {}
    for place, items in wanted.items():
        for item in items:
            owners.setdefault(item, set()).add(place)
    grouped: dict[frozenset[Place], list[str]] = {}
    for item, places in owners.items():
        grouped.setdefault(frozenset(places), []).append(item)
    always = [Row(None, (item,)) for item in grouped.pop(universe, [])]
    some = [Row(condition(places, universe), tuple(items)) for places, items in grouped.items()]
    # platforms first, Pythons below each other
    return (*always, *sorted(some, key=lambda row: "python" in (row.condition or "")))


def condition(chosen: Iterable[Place], universe: Iterable[Place]) -> str | None:
    """Return an expression that holds for ``chosen`` and for no other place of ``universe``."""
    wanted, every = frozenset(chosen), frozenset(universe)
    if wanted == every:
        return None
    for parts in (
        (False, False, True),
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (True, False, True),
        (False, True, True),
        (True, True, True),
    ):
        if _projected(wanted, every, parts) == wanted:
            return _conjunction(wanted, every, parts)
    by_subdir: dict[str, set[Place]] = {}
    for place in sorted(wanted, key=_sortable):
        by_subdir.setdefault(place.subdir, set()).add(place)
    if len(by_subdir) > 1:
        return " or ".join(f"({condition(part, every)})" for part in by_subdir.values())
    return " or ".join(f"({condition([place], every)})" for place in sorted(wanted, key=_sortable))


def _sortable(place: Place) -> tuple[str, Accelerator, PythonBuild]:
    return (place.subdir, place.accelerator, place.python or PythonBuild(0, 0))


def _projected(
    wanted: frozenset[Place], every: frozenset[Place], parts: tuple[bool, bool, bool]
) -> frozenset[Place]:
    """Return the places that agree with some wanted place in each of the chosen parts."""
    subdirs = {place.subdir for place in wanted}
    accelerators = {place.accelerator for place in wanted}
    pythons = {place.python for place in wanted}
    return frozenset(
        place
        for place in every
        if (not parts[0] or place.subdir in subdirs)
        and (not parts[1] or place.accelerator in accelerators)
        and (not parts[2] or place.python in pythons)
    )


def _conjunction(
    wanted: frozenset[Place], every: frozenset[Place], parts: tuple[bool, bool, bool]
) -> str:
    """Write the chosen parts of the wanted places, each as short as the other parts allow."""
    found = []
    if parts[0]:
        subdirs = {place.subdir for place in every}
        found.append(
            _either(
                [
                    subdir_condition(subdir, subdirs)
                    for subdir in sorted({place.subdir for place in wanted})
                ]
            )
        )
    # a shortened part admits more than was wanted: the next is shortened beside all of that
    admitted = every
    if parts[1]:
        accelerators = {place.accelerator for place in wanted}
        beside = _projected(wanted, every, (parts[0], False, parts[2]))
        any_cuda = accelerators == {p.accelerator for p in beside if p.accelerator.cuda is not None}
        tegra = any(place.accelerator.tegra for place in every)
        found.append(_any_cuda() if any_cuda else _accelerators(accelerators, tegra=tegra))
        admitted = frozenset(
            place
            for place in every
            if place.accelerator in accelerators
            or (any_cuda and place.accelerator.cuda is not None)
        )
    if parts[2]:
        beside = _projected(wanted, admitted, (parts[0], False, False))
        found.append(
            _pythons(
                {place.python for place in wanted if place.python},
                {place.python for place in beside if place.python},
            )
        )
    if len(found) == 1:
        return found[0]
    return " and ".join(f"({part})" if " or " in part else part for part in found)


def _either(expressions: list[str]) -> str:
    if len(expressions) == 1:
        return expressions[0]
    return " or ".join(f"({each})" if " and " in each else each for each in expressions)


def subdir_condition(subdir: str, every: set[str]) -> str:
    """Return the shortest selector that holds for one subdir of ``every``."""
    os = subdir.split("-", 1)[0]
    if sum(other.startswith(f"{os}-") for other in every) == 1:
        return os
    return f'target_platform == "{subdir}"'


def _any_cuda() -> str:
    return 'cuda_compiler_version != "None"'


def _accelerators(wanted: set[Accelerator], *, tegra: bool) -> str:
    return _either([_accelerator(each, tegra=tegra) for each in sorted(wanted)])


def _accelerator(accelerator: Accelerator, *, tegra: bool) -> str:
    version = f'cuda_compiler_version == "{accelerator.cuda_compiler_version}"'
    if tegra and accelerator.cuda is not None:
        return f'{version} and arm_variant_type == "{accelerator.arm_variant_type}"'
    return version


def _pythons(wanted: set[PythonBuild], every: set[PythonBuild]) -> str:
    """Write a range of minors as one, anything else value by value."""
    minors = {(build.major, build.minor) for build in wanted}
    low, high = min(minors), max(minors)
    if len(wanted) > 1:
        if wanted == {build for build in every if (build.major, build.minor) >= low}:
            return f'match(python, ">={low[0]}.{low[1]}")'
        if wanted == {build for build in every if (build.major, build.minor) <= high}:
            return f'match(python, "<{high[0]}.{high[1] + 1}")'
    return _either([f'python == "{build.variant_value}"' for build in sorted(wanted)])
