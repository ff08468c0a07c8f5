"""Packages that can each be had, and not together: which, and what they disagree about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from rattler import RepoDataRecord

from generator.explaining.findings import Finding
from generator.explaining.probing import Prober, Setting
from generator.explaining.records import matching, pythons
from generator.explaining.request import name_of, parsed

#: conflicts that are told apart in one request
_ROUNDS = 3


def conflicts(specs: Sequence[str], setting: Setting, prober: Prober) -> Iterator[Finding]:
    """Find the smallest subsets of ``specs`` without a solution; each spec alone has one."""
    left = list(specs)
    for number in range(_ROUNDS):
        if number and prober.impatient:
            return
        if len(left) < 2 or prober.goes(left, setting):
            return
        core = prober.smallest_failing(left, setting)
        if len(core) < 2:
            return
        yield _conflict(core, setting, prober)
        # of a Python and what it does not go with, the Python stays: others may not go with it too
        left.remove(next((s for s in reversed(core) if name_of(s) != "python"), core[-1]))


def _conflict(core: tuple[str, ...], setting: Setting, prober: Prober) -> Finding:
    python = next((spec for spec in core if name_of(spec) == "python"), None)
    if python is not None and len(core) == 2:
        (other,) = (spec for spec in core if spec != python)
        if offered := _other_pythons(other, python, setting, prober):
            return Finding(
                cause="python",
                package=name_of(other),
                spec=other,
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


def _other_pythons(spec: str, python: str, setting: Setting, prober: Prober) -> tuple[str, ...]:
    """Return the Pythons that a package has builds for, newest first, when ``python`` is none."""
    fitting = matching(prober.visible(name_of(spec), setting), parsed(spec))
    built = pythons(fitting)
    wanted = ".".join(str(parsed(python).version or "").lstrip("=").split(".")[:2])
    return () if wanted in built else tuple(reversed(built))


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
                    if not prober.goes(pair, setting):
                        yield (f"{left[0]} {left[2]}".strip(), f"{right[0]} {right[2]}".strip())


def _needs(spec: str, record: RepoDataRecord | None) -> list[tuple[str, str, str]]:
    """Return who asks, for which name, for what: the request itself and the record's depends."""
    own = [("you ask for", name_of(spec), spec)]
    if record is None:
        return own
    who = f"{record.name.normalized} {record.version} needs"
    plain = [text for text in record.depends if not text.startswith("__")]
    return own + [(who, text.split()[0], text) for text in plain]
