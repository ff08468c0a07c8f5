"""Packages that can each be had, and not together: which, and what they disagree about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from rattler import RepoDataRecord

from generator.explaining.findings import Finding
from generator.explaining.probing import Prober, Setting, smallest_failing
from generator.explaining.records import newest_first, pythons
from generator.explaining.request import name_of

#: conflicts that are told apart in one request
_ROUNDS = 3


def conflicts(specs: Sequence[str], setting: Setting, prober: Prober) -> Iterator[Finding]:
    """Find the smallest subsets of ``specs`` without a solution; each spec alone has one."""
    left = list(specs)
    for _ in range(_ROUNDS):
        if len(left) < 2 or prober.solve(left, setting) is not None:
            return
        core = smallest_failing(left, setting, prober)
        if len(core) < 2:
            return
        yield _conflict(core, setting, prober)
        # of a Python and what it does not go with, the Python stays: others may not go with it too
        left.remove(next((s for s in reversed(core) if name_of(s) != "python"), core[-1]))


def _conflict(core: tuple[str, ...], setting: Setting, prober: Prober) -> Finding:
    python = next((spec for spec in core if name_of(spec) == "python"), None)
    others = [spec for spec in core if spec != python]
    if python is not None:
        offered = working_pythons(others, setting, prober)
        if offered:
            return Finding(
                cause="python",
                package=name_of(others[0]),
                spec=" ".join(others),
                against=(python,),
                offered=offered,
            )
    chosen = {spec: _chosen(spec, setting, prober) for spec in core}
    return Finding(
        cause="conflict",
        package=name_of(core[0]),
        spec=core[0],
        against=core[1:],
        chain=next(_disagreements(chosen, setting, prober), ()),
    )


def working_pythons(specs: Sequence[str], setting: Setting, prober: Prober) -> tuple[str, ...]:
    """Return the Pythons, newest first, beside which ``specs`` have a solution."""
    asked = [spec for spec in specs if name_of(spec) != "python"]
    records = [r for spec in asked for r in prober.visible(name_of(spec), setting)]
    known = [text for text in pythons(records) if not text.endswith("t")]
    if not known:
        found = newest_first(prober.visible("python", setting))
        known = list(dict.fromkeys(".".join(str(r.version).split(".")[:2]) for r in found))
    return tuple(
        text
        for text in sorted(known, key=_minor, reverse=True)
        if prober.solve([*asked, f"python={text}"], setting) is not None
    )


def _minor(python: str) -> int:
    parts = python.split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def _chosen(spec: str, setting: Setting, prober: Prober) -> RepoDataRecord | None:
    """Return what the solver takes for a spec alone."""
    found = prober.solve([spec], setting) or ()
    return next((r for r in found if r.name.normalized == name_of(spec)), None)


def _disagreements(
    chosen: dict[str, RepoDataRecord | None], setting: Setting, prober: Prober
) -> Iterator[tuple[str, ...]]:
    """Find two needs that have no solution together: ``("a 1 needs c >=2", "b 1 needs c <2")``."""
    for one, other in combinations(chosen, 2):
        for left in _needs(one, chosen[one]):
            for right in _needs(other, chosen[other]):
                if left[1] == right[1] and left[2] != right[2]:
                    pair = [left[2], right[2]]
                    if prober.solve(pair, setting) is None:
                        yield (f"{left[0]} {left[2]}".strip(), f"{right[0]} {right[2]}".strip())


def _needs(spec: str, record: RepoDataRecord | None) -> list[tuple[str, str, str]]:
    """Return who asks, for which name, for what: the request itself and the record's depends."""
    own = [("you ask for", name_of(spec), spec)]
    if record is None:
        return own
    who = f"{record.name.normalized} {record.version} needs"
    plain = [text for text in record.depends if not text.startswith("__")]
    return own + [(who, text.split()[0], text) for text in plain]
