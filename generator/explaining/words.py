"""Explanations in plain words, in fewer than twenty lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from generator.explaining.facts import facts
from generator.explaining.findings import Cause, Finding
from generator.explaining.notices import Notice
from generator.explaining.report import Explanation, Installed

#: lines of each part, so that all of them together stay below twenty
_WHY, _MISSING, _WARNINGS = 6, 3, 2
#: the cause that the verdict names, the most telling first
_WEIGHT: Final[tuple[Cause, ...]] = (
    "no-channel",
    "virtual",
    "python",
    "conflict",
    "priority",
    "dependencies",
    "build",
    "version",
    "elsewhere",
    "absent",
    "malformed",
    "unreachable",
)


def lines_of(explanation: Explanation) -> list[str]:
    """Return the text: the verdict, why, what works, what is missing upstream, warnings."""
    found = [verdict(explanation)]
    if explanation.findings:
        why = [_sentence(finding, explanation) for finding in _merged(explanation.findings)]
        found += [f"  {line}" for line in _capped(why, _WHY, "causes")]
    found += _commands(explanation)
    if explanation.missing_upstream:
        found.append("What upstream lacks:")
        found += [f"  {line}" for line in _capped(explanation.missing_upstream, _MISSING, "gaps")]
    found += [_warning(each) for each in explanation.warnings[:_WARNINGS]]
    found += [f"Note: {note}" for note in (*_ages(explanation), *explanation.notes)][:2]
    return found


def verdict(explanation: Explanation) -> str:
    """Return the one line that says it all."""
    subdir = explanation.subdir
    if explanation.outcome == "works":
        return f"This works on {subdir}: it installs {_brief(explanation.installs)}."
    if explanation.outcome == "unknown":
        silent = [
            f.channel for f in explanation.findings if f.cause in {"unreachable", "malformed"}
        ]
        return f"Cannot tell: {_list(silent)} gave no usable answer, and the other channels do not have it all."
    causes = [finding for finding in explanation.findings if finding.cause in _WEIGHT]
    if not causes:
        return f"This does not work on {subdir}: the packages do not go together."
    lead = min(causes, key=lambda finding: _WEIGHT.index(finding.cause))
    same = [f for f in explanation.findings if f.cause == lead.cause and f.package]
    packages = _list(dict.fromkeys(f.package for f in same))
    return f"This does not work on {subdir}: {_lead(lead, packages)}."


def _lead(finding: Finding, packages: str) -> str:
    virtual = _virtual_name(finding.virtual)
    absent = facts().virtual_packages.get(finding.virtual)
    short = (
        f"this machine has {finding.found}"
        if finding.found
        else ((absent.absent if absent else "") or "this machine has none")
    )
    return {
        "no-channel": f"there is no channel {finding.channel}",
        "virtual": f"{packages} {_needs(packages)} {virtual} {finding.needed}, and {short}".replace(
            "  ", " "
        ),
        "python": f"{finding.spec or packages} is not there for the Python that is asked for",
        "conflict": f"{finding.spec} and {_list(finding.against)} do not go together",
        "priority": f"strict channel priority hides {packages}",
        "dependencies": f"{packages} is there, and something it depends on is not",
        "build": f"there is no such build of {packages}",
        "version": f"there is no such version of {packages}",
        "elsewhere": f"{packages} {_is(packages)} there for other platforms only",
        "absent": f"no channel that is asked has {packages}",
        "malformed": f"{finding.channel} is not a channel that can be read",
        "unreachable": f"{finding.channel} did not answer",
    }[finding.cause]


def _sentence(finding: Finding, explanation: Explanation) -> str:
    where = f"{finding.channel}: " if finding.channel and finding.package else ""
    offered = ", ".join(finding.offered[:5]) + (" ..." if len(finding.offered) > 5 else "")
    match finding.cause:
        case "absent":
            meant = f"; perhaps you meant {finding.meant}" if finding.meant else ""
            return f"{where}has no {finding.package}, for any platform{meant}"
        case "elsewhere":
            return (
                f"{where}{finding.package} is there for {offered} only, not for "
                f"{explanation.subdir}"
            )
        case "python":
            asked = f", not for {_list(finding.against)}" if finding.against else ""
            return f"{where}{finding.spec} is there for Python {offered}{asked}"
        case "version":
            return f"{where}{finding.package} is there as {offered}, not as {finding.spec}"
        case "build":
            return f"{where}{finding.package} has the builds {offered}; none fits {finding.spec}"
        case "priority" if not finding.chain:
            return (
                f"{where}{finding.package} {offered} is there, but hidden: {finding.hidden_by} "
                "comes first and has the name, and channel priority is strict"
            )
        case "virtual":
            return f"{where}{_virtual(finding)}"
        case "conflict":
            return _conflict(finding)
        case "dependencies" | "priority":
            return f"{where}{_chain(finding)}"
        case "no-channel":
            return f"{finding.channel}: there is no such channel ({finding.detail})"
        case "unreachable":
            return (
                f"{finding.channel}: did not answer ({finding.detail}); that says nothing about it"
            )
        case "malformed":
            return f"{finding.channel}: its answer is not repodata ({finding.detail})"


def _virtual(finding: Finding) -> str:
    known = facts().virtual_packages.get(finding.virtual)
    name = _virtual_name(finding.virtual)
    who = finding.chain[-2].rsplit(" ", 1)[0] if len(finding.chain) > 1 else finding.package
    way = (
        f"{finding.package} depends on {who}, which"
        if who.split()[0] not in finding.package
        else who
    )
    have = (
        f"this machine has {finding.found}"
        if finding.found
        else ((known.absent if known else "") or "this machine has none")
    )
    fix = f" ({known.fix})" if known else ""
    return f"{way} needs {name} {finding.needed}".rstrip() + f"; {have}{fix}"


def _chain(finding: Finding) -> str:
    way = " -> ".join(link.removesuffix(" *") for link in finding.chain)
    offered = f" (there is {', '.join(finding.offered)})" if finding.offered else ""
    if finding.detail == "priority":
        return f"{way}, which {finding.hidden_by} hides: it comes first, and channel priority is strict"
    if finding.detail == "conflict":
        return f"{way} needs {' and '.join(finding.against)}, which do not go together"
    if finding.detail == "absent":
        return f"{way}, which no channel here has"
    if finding.detail == "version":
        return f"{way}, which is not there{offered}"
    return way or f"{finding.package} is there, and its dependencies have no solution"


def _conflict(finding: Finding) -> str:
    together = f"{finding.spec} does not go with {_list(finding.against)}"
    return f"{together}: {', '.join(finding.chain)}" if finding.chain else together


def _commands(explanation: Explanation) -> Iterator[str]:
    if explanation.outcome == "works":
        return
    if not explanation.commands:
        yield "No command was found that works here."
        return
    for number, command in enumerate(explanation.commands):
        differs = _list([words for words in command.differs if words])
        head = "This works" if number == 0 else "Or"
        yield f"{head}, {differs}:" if differs else f"{head}:"
        yield f"  {command.command}"
        if number == 0:
            yield f"  installs {_brief(command.installs)}"


def _brief(installs: Sequence[Installed]) -> str:
    """``pytorch 2.10.0 (cpu), torchvision 0.25.0 (cpu) from armtorch``."""
    shown = []
    for each in installs:
        kind = each.build.split("_")[0]
        shown.append(
            f"{each.name} {each.version}"
            + (f" ({kind})" if kind.startswith(("cpu", "cuda")) else "")
        )
    channels = list(dict.fromkeys(each.channel for each in installs))
    return f"{', '.join(shown)} from {_list(channels)}" if shown else "nothing new"


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Put findings that say the same of several packages into one."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        same = finding.cause in {"absent", "elsewhere"} and not finding.meant
        key = (finding.cause, finding.channel, finding.offered) if same else id(finding)
        groups.setdefault(key, []).append(finding)
    return [
        replace(group[0], package=_list([each.package for each in group], word="or"))
        if len(group) > 1 and group[0].cause == "absent"
        else replace(group[0], package=_list([each.package for each in group]))
        for group in groups.values()
    ]


def _ages(explanation: Explanation) -> Iterator[str]:
    old = [state for state in explanation.channels if state.age_days is not None]
    if old:
        oldest = max(state.age_days or 0.0 for state in old)
        names = _list([state.name for state in old])
        yield f"{names}: cached data, {oldest:.1f} days old ({old[0].detail})"


def _warning(notice: Notice) -> str:
    head = "Warning" if notice.certain else "If it is one of these machines"
    return f"{head}: {notice.text}; {notice.advice}."


def _virtual_name(name: str) -> str:
    known = facts().virtual_packages.get(name)
    return known.name if known else name


def _capped(lines: Sequence[str], most: int, what: str) -> list[str]:
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"... and {len(lines) - most + 1} more {what}; --json has them all"]


def _list(parts: Iterable[str], word: str = "and") -> str:
    found = list(parts)
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} {word} {found[-1]}"


def _is(packages: str) -> str:
    return "are" if " and " in packages else "is"


def _needs(packages: str) -> str:
    return "need" if " and " in packages else "needs"
