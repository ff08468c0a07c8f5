"""Proves by symbols that a companion goes with a torch before it is locked (decision D14)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from generator.errors import LinkageError, MalformedError
from generator.inspecting.pairing import Unmet, pairing_names, unmet
from generator.inspecting.wheel_symbols import Shelves, WheelShelf, fact_key, is_torchs
from generator.model.held import Finding
from generator.model.python_build import PythonBuild
from generator.packages import any_build, is_companion
from generator.rendering.layout import Rule, taken
from generator.updating.judging import Prospect
from generator.updating.member_judge import rule_of
from generator.upstream import Offer, WheelReader

_UNMET: Final = TypeAdapter(tuple[Unmet, ...])
#: symbols that a finding names, and characters of each; the lock is read by people
_SHOWN: Final = 3
_LONGEST: Final = 80


@dataclass(frozen=True)
class PairingJudge:
    """Holds a companion's undefined symbols against what the torch of the cell exports.

    What both sides have is read by range, once for libraries that RECORD says are the same in the
    wheels for several Pythons; what the cell's layout leaves out is not read.
    """

    reader: WheelReader

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return the symbols that nobody has, per wheel, or once where all wheels lack some.

        Raises AbsentError, MalformedError, IntegrityError: of the companion's wheels.
        UnreachableError: of any wheel.
        """
        if not is_companion(prospect.project):
            return ()
        found = []
        place = prospect.subdir.name, prospect.accelerator
        rules = taken(prospect.project, prospect.release.version.public, *place)
        both = [python for python in sorted(prospect.wheels) if python in prospect.torch]
        with ExitStack() as stack:
            shelves = Shelves(self.reader, prospect.subdir, stack)
            for python in both:
                wheel = prospect.wheels[python]
                own = WheelShelf(shelves, wheel, _kept(rules))
                key = fact_key("unmet", wheel, torch := prospect.torch[python], _said(rules))
                why = _lacking(own, torch, key) or _bound(own)
                if why:
                    found.append(_finding(prospect, python, why))
        if found and len(found) == len(both) and len({each.detail for each in found}) == 1:
            return (replace(found[0], python=None),)
        return tuple(found)


def _kept(rules: tuple[Rule, ...]) -> Callable[[str], bool]:
    find = rule_of(rules)
    return lambda member: (rule := find(member)) is None or rule.drop is None


def _said(rules: tuple[Rule, ...]) -> str:
    """Return what the judgement goes by, beside the two wheels."""
    return repr((pairing_names(), [(rule.match, rule.drop) for rule in rules]))


def _lacking(own: WheelShelf, torch: Offer, key: str) -> str:
    """Say what a wheel lacks beside a torch, or why that cannot be told; "" where all is there."""
    shelves = own.shelves
    cache = shelves.reader.cache
    if key and (kept := cache.symbols.get(key)) is not None:
        return _in_words(_UNMET.validate_json(kept), torch)
    try:
        asking = own.asking()
    except LinkageError as error:
        raise MalformedError(
            error.what, where=error.where, next_step="report it upstream"
        ) from error
    counts = partial(is_torchs, subdir=shelves.subdir, version=torch.version.public)
    try:
        found = unmet(asking, own, WheelShelf(shelves, torch, counts))
    except (LinkageError, MalformedError) as error:
        # whichever of the two it is: they cannot be shown to go together
        return f"{posixpath.basename(error.where)}: {error.what}"
    if key:
        cache.symbols.keep(key, _UNMET.dump_json(found))
    return _in_words(found, torch)


def _bound(own: WheelShelf) -> str:
    """Say what binds a wheel to one build of torch where its row has it go with any; else ""."""
    if not any_build(own.offer.project, own.offer.version.public):
        return ""
    for each in own.asking():
        for symbol in map(each.plain, each.symbols):
            if pairing_names().is_of_one_build(symbol):
                return (
                    f"{posixpath.basename(each.path)} needs {symbol[:_LONGEST]}, which is of no "
                    "stable ABI: `stable` in packages.yaml ends before this version"
                )
    return ""


def _in_words(lacking: tuple[Unmet, ...], torch: Offer) -> str:
    if not lacking:
        return ""
    symbols = sorted({each.symbol for each in lacking})
    shown = ", ".join(
        symbol if len(symbol) <= _LONGEST else f"{symbol[:_LONGEST]}..."
        for symbol in symbols[:_SHOWN]
    )
    more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
    return (
        f"{posixpath.basename(lacking[0].path)} needs {shown}{more}, which torch "
        f"{torch.version.public} does not have"
    )


def _finding(prospect: Prospect, python: PythonBuild, why: str) -> Finding:
    return Finding(
        kind="symbols",
        detail=why,
        next_step=f"none: {prospect.name} is taken with a torch that has them",
        python=python,
    )
