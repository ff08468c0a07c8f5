"""Proves from RECORD what the torch wheels of a cell share between their Pythons (decision D2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from generator.model.cell import Equivalent, Sharing
from generator.model.fields import PythonBuildText
from generator.model.python_build import PythonBuild
from generator.upstream.archive import Member
from generator.upstream.equivalence import normalise
from generator.upstream.policy import SharingRules, matcher

#: reads one member of the wheel for a Python, given its twin in the reference wheel
ReadMember = Callable[[PythonBuild, str, bytes], bytes]
Members = Mapping[str, Member]


@dataclass(frozen=True, kw_only=True)
class Unproven:
    """A member that libtorch would have to carry and that is not proven the same."""

    python: PythonBuildText
    member: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the torch wheels of a cell share, and which Pythons stand apart."""

    sharing: Sharing
    apart: tuple[Unproven, ...]


def compare(
    wheels: Mapping[PythonBuild, Members], rules: SharingRules, read: ReadMember
) -> Comparison:
    """Compare the wheels of a cell; Pythons that stand apart are left out of what is shared."""
    fewest: tuple[tuple[Equivalent, ...], tuple[Unproven, ...]] | None = None
    for reference in sorted(wheels, key=_preference):
        found = _find_unproven(wheels, reference, rules, read)
        if fewest is None or len(_pythons(found[1])) < len(_pythons(fewest[1])):
            fewest = found
        if 2 * len(_pythons(found[1])) <= len(wheels):
            break  # most agree with it; else it is the reference itself that stands apart
    equivalent, apart = fewest or ((), ())
    out = _pythons(apart)
    kept = {python: rows for python, rows in wheels.items() if python not in out}
    return Comparison(sharing=_summarise(kept, rules, equivalent), apart=apart)


def _preference(python: PythonBuild) -> tuple[bool, PythonBuild]:
    """Order the Pythons by how well they serve as reference: the lowest ordinary one first."""
    return (python.freethreading, python)


def _pythons(apart: tuple[Unproven, ...]) -> set[PythonBuild]:
    return {each.python for each in apart}


def _find_unproven(
    wheels: Mapping[PythonBuild, Members],
    reference: PythonBuild,
    rules: SharingRules,
    read: ReadMember,
) -> tuple[tuple[Equivalent, ...], tuple[Unproven, ...]]:
    """Compare every wheel with the reference wheel where bytes or presence differ.

    Returns the members proven equivalent, and those for which a Python stands apart.
    """
    own, free = matcher(rules.per_python), matcher(rules.may_differ)
    equivalent: list[Equivalent] = []
    unproven: list[Unproven] = []
    for path in sorted(_differing(wheels)):
        if own(path) or free(path):
            continue
        rule, home = rules.rule_for(path), wheels[reference].get(path)
        if rule is None or home is None:
            unproven += [
                Unproven(python=python, member=path, why=_plainly(members.get(path), home))
                for python, members in wheels.items()
                if members.get(path) != home
            ]
            continue
        twin = read(reference, path, b"")
        wanted = _normal(rule, twin)
        known = {home: wanted}
        for python, members in wheels.items():
            there = members.get(path)
            if there is not None and there not in known:
                known[there] = _normal(rule, read(python, path, twin))
            if there != home and (there is None or wanted is None or known[there] != wanted):
                unproven.append(
                    Unproven(
                        python=python,
                        member=path,
                        why=f"{_plainly(there, home)}, also by the rule {rule}",
                    )
                )
        if wanted is not None:
            equivalent.append(Equivalent(member=path, rule=rule, normalised_sha256=wanted))
    return tuple(equivalent), tuple(unproven)


def _summarise(
    wheels: Mapping[PythonBuild, Members], rules: SharingRules, equivalent: tuple[Equivalent, ...]
) -> Sharing:
    """Put the proof into the lock's shape; ``wheels`` has no Python left that stands apart."""
    own = matcher(rules.per_python)
    reference = min(wheels, key=_preference)
    differing = _differing(wheels)
    # a member may have differed only in a wheel that stands apart
    equivalent = tuple(each for each in equivalent if each.member in differing)
    proven = {each.member for each in equivalent}
    shared = {
        path: member
        for path, member in wheels[reference].items()
        if path not in differing and not own(path)
    }
    everything = {path for members in wheels.values() for path in members}
    lines = "".join(
        f"{path},{member.sha256},{member.size}\n" for path, member in sorted(shared.items())
    )
    return Sharing(
        reference=str(reference),
        members=len(shared),
        bytes=sum(member.size for member in shared.values()),
        digest=hashlib.sha256(lines.encode()).hexdigest(),
        per_python=tuple(sorted(everything - shared.keys() - proven)),
        equivalent=tuple(sorted(equivalent, key=lambda each: each.member)),
    )


def _differing(wheels: Mapping[PythonBuild, Members]) -> set[str]:
    """Paths that are not in every wheel, or not with the same sha256."""
    everything = {path for members in wheels.values() for path in members}
    return {
        path for path in everything if len({members.get(path) for members in wheels.values()}) > 1
    }


def _normal(rule: str, content: bytes) -> str | None:
    """Return the sha256 of the normalised member; None where the rule is not for such a file."""
    try:
        return hashlib.sha256(normalise(rule, content)).hexdigest()
    except ValueError:
        return None


def _plainly(there: Member | None, home: Member | None) -> str:
    if there is None:
        return "missing here, there in the reference wheel"
    return "other bytes than in the reference wheel" if home else "not in the reference wheel"
