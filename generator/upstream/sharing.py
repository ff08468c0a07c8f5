"""Proves from RECORD what the torch wheels of a cell share between their Pythons (decision D2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from generator.model.cell import EquivalenceRule, Equivalent, Sharing
from generator.model.python_build import PythonBuild
from generator.upstream.archive import Member
from generator.upstream.equivalence import normalise
from generator.upstream.policy import SharingRules, matcher

#: reads one member of the wheel for a Python, given its twin in another one's wheel
ReadMember = Callable[[PythonBuild, str, bytes], bytes]
Members = Mapping[str, Member]
Wheels = Mapping[PythonBuild, Members]


def compare(wheels: Wheels, rules: SharingRules, read: ReadMember) -> tuple[Sharing, ...]:
    """Put the wheels of a cell into groups that share a libtorch, the largest group first.

    Two wheels share one if all that libtorch would carry has the same bytes, or is proven by a rule
    to mean the same. Only the first group's proof names no Pythons: it is for all that no other
    one names.
    """
    own, free = matcher(rules.per_python), matcher(rules.may_differ)
    carried = {
        path: rules.rule_for(path)
        for path in sorted(_differing(wheels))
        if not own(path) and not free(path)
    }
    found = [
        _summarise(group, rules, equivalent)
        for alike in _apart(wheels, carried)
        for group, equivalent in _by_rules(alike, carried, read)
    ]
    found.sort(key=lambda g: (-len(g.pythons), _preference(PythonBuild.parse(g.reference))))
    return tuple(replace(each, pythons=()) if each is found[0] else each for each in found)


def _preference(python: PythonBuild) -> tuple[bool, PythonBuild]:
    """Order the Pythons by how well they serve as reference: the lowest ordinary one first."""
    return (python.freethreading, python)


def _apart(wheels: Wheels, carried: Mapping[str, EquivalenceRule | None]) -> Iterator[Wheels]:
    """Part the wheels by what RECORD alone says: other bytes without a rule, or a file too many."""
    groups: dict[tuple[object, ...], dict[PythonBuild, Members]] = {}
    for python, members in wheels.items():
        key = tuple(
            members.get(path) if rule is None else path in members for path, rule in carried.items()
        )
        groups.setdefault(key, {})[python] = members
    yield from groups.values()


def _by_rules(
    wheels: Wheels, carried: Mapping[str, EquivalenceRule | None], read: ReadMember
) -> Iterator[tuple[Wheels, tuple[Equivalent, ...]]]:
    """Part wheels by what the rules leave of the members that differ between them."""
    first = min(wheels, key=_preference)
    differing = {path: rule for path in _differing(wheels) if (rule := carried.get(path))}
    normal: dict[tuple[str, Member], str] = {}
    for path, rule in differing.items():
        twin = read(first, path, b"")
        normal[path, wheels[first][path]] = _normal(rule, twin)
        for python, members in wheels.items():
            if (path, members[path]) not in normal:
                normal[path, members[path]] = _normal(rule, read(python, path, twin))
    groups: dict[tuple[str, ...], dict[PythonBuild, Members]] = {}
    for python, members in wheels.items():
        key = tuple(normal[path, members[path]] for path in differing)
        groups.setdefault(key, {})[python] = members
    for key, group in groups.items():
        yield (
            group,
            tuple(
                Equivalent(member=path, rule=rule, normalised_sha256=sha256)
                for (path, rule), sha256 in zip(differing.items(), key, strict=True)
            ),
        )


def _summarise(wheels: Wheels, rules: SharingRules, equivalent: tuple[Equivalent, ...]) -> Sharing:
    own = matcher(rules.per_python)
    reference = min(wheels, key=_preference)
    differing = _differing(wheels)
    # a member may have differed only from wheels of other groups
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
        pythons=tuple(map(str, sorted(wheels))),
    )


def _differing(wheels: Wheels) -> set[str]:
    first, *others = wheels.values() or ({},)  # a cell may have no torch that can be used
    everything = first.keys() | {path for members in others for path in members}
    # equal rows are one object most often, and that is seen at once
    return {
        path
        for path in everything
        for one in [first.get(path)]
        if any((other := m.get(path)) is not one and other != one for m in others)
    }


def _normal(rule: str, content: bytes) -> str:
    """Return the sha256 of the normalised member; its own where the rule is not for such a file."""
    with suppress(ValueError):
        content = normalise(rule, content)
    return hashlib.sha256(content).hexdigest()
