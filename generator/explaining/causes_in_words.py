"""Each cause as one sentence, and as the half sentence that a verdict ends with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from generator.explaining.facts import VirtualFacts, facts
from generator.explaining.findings import Finding
from generator.model.python_build import PythonBuild, not_on_base

_OFFERED = 5
#: names in one list
_LISTED = 7


def lead(finding: Finding, packages: Iterable[str]) -> str:
    """Return the half sentence of the verdict for the most telling cause."""
    names = tuple(dict.fromkeys(packages)) or (finding.package,)
    if finding.virtual:
        if finding.against:
            names = (f"{finding.spec} with {listed(finding.against)}",)
        need = "need" if len(names) > 1 else "needs"
        wanted = f"{_name(finding)} {finding.needed}".strip()
        return f"{listed(names)} {need} {wanted}, and {_have(finding)}"
    return (
        facts()
        .causes[finding.cause]
        .lead.format(
            packages=listed(names, word="or" if finding.cause in {"absent", "python"} else "and"),
            are="are" if len(names) > 1 else "is",
            it="them" if len(names) > 1 else "it",
            hidden=f"what {listed(names)} needs" if finding.chain else listed(names),
            spec=finding.spec.replace(" ", " and "),
            against=listed(finding.against) or "that Python",
            channel=finding.channel,
            offered=listed(finding.offered),
        )
    )


def sentence(finding: Finding, subdir: str) -> str:
    """Return one cause as a line."""
    where = f"channel {finding.channel}: " if finding.channel and finding.package else ""
    if finding.virtual:
        return where + _virtual(finding)
    if finding.cause == "conflict":
        return where + _conflict(finding)
    if finding.cause == "dependencies" or (finding.cause == "priority" and finding.chain):
        python = PythonBuild.of_depends(finding.chain[-1:])
        lacking = python is not None and finding.detail in {"absent", "version"}
        base = f"; blocked by base: {not_on_base([str(python)], subdir)}" if lacking else ""
        return where + _chain(finding) + base
    several = "," in finding.package or " and " in finding.package
    more = " ..." if len(finding.offered) > _OFFERED else ""
    return (
        facts()
        .causes[finding.cause]
        .says.format(
            where=where,
            packages=finding.package,
            are="are" if several else "is",
            offered=", ".join(finding.offered[:_OFFERED]) + more,
            meant=f"; perhaps you meant {finding.meant}" if finding.meant else "",
            not_for=f", not for {listed(finding.against)}" if finding.against else "",
            spec=finding.spec,
            subdir=subdir,
            channel=finding.channel,
            hidden_by=finding.hidden_by,
            detail=finding.detail,
        )
    )


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Put findings that say the same of several packages into one."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        same = finding.cause in {"absent", "elsewhere", "python"} and not finding.meant
        key = (finding.cause, finding.channel, finding.offered, finding.against)
        groups.setdefault(key if same else id(finding), []).append(finding)
    return [
        replace(
            group[0],
            package=listed(
                dict.fromkeys(each.package for each in group),
                word="or" if group[0].cause == "absent" else "and",
            ),
        )
        for group in groups.values()
    ]


def listed(parts: Iterable[str], word: str = "and", most: int = _LISTED) -> str:
    """``a``, ``a and b``, ``a, b and c``; of very many the first ones and how many more."""
    found = list(parts)
    if len(found) > most + 1:
        found = [*found[:most], f"{len(found) - most} more"]
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} {word} {found[-1]}"


def _virtual(finding: Finding) -> str:
    known = _known(finding)
    records = [_link(link) for link in finding.chain[:-1]]
    way = records[-1] if records else finding.package
    if len(records) > 1:
        way = f"{finding.package} depends on {way}, which"
    wanted = f"{_name(finding)} {finding.needed}".strip()
    fix = f" ({known.fix})" if known else ""
    beside = f"with {listed(finding.against)}, " if finding.against else ""
    return f"{beside}{way} needs {wanted}; {_have(finding)}{fix}"


def _have(finding: Finding) -> str:
    if finding.found:
        return f"this machine has {finding.found}"
    known = _known(finding)
    return known.absent if known and known.absent else "this machine has none"


def _known(finding: Finding) -> VirtualFacts | None:
    return facts().virtual_packages.get(finding.virtual)


def _name(finding: Finding) -> str:
    known = _known(finding)
    if known is None:
        return finding.virtual
    return known.name if finding.needed else known.plain or known.name


def _chain(finding: Finding) -> str:
    links = [_link(link) for link in finding.chain[:-1]] + list(finding.chain[-1:])
    if finding.detail == "conflict":
        links = [_link(link) for link in finding.chain]
    way = (
        " needs ".join([links[0], ", which needs ".join(links[1:])]) if links[1:] else listed(links)
    )
    parts = f"its {listed(finding.against)} do not go together"
    against = parts if finding.against[1:] else "that cannot be had"
    offered = f"; there is {', '.join(finding.offered)}" if finding.offered else ""
    return {
        "priority": f"{way}, which is hidden: {finding.hidden_by} comes first and has the name, "
        "and channel priority is strict",
        "conflict": f"{way}, and {against}",
        "absent": f"{way}, and none of the channels has that",
        "version": f"{way}{offered}",
        "malformed": f"{way}, which cannot be read as a package",
    }.get(finding.detail, way or f"{finding.package} is there, and what it needs is not")


def _conflict(finding: Finding) -> str:
    together = f"{finding.spec} does not go with {listed(finding.against)}"
    return f"{together}: {' and '.join(finding.chain)}" if finding.chain else together


def _link(text: str) -> str:
    """``pytorch 2.13.0 cuda130_generic_h79f60e3_202`` without what tells builds apart."""
    parts = text.split()
    if len(parts) != 3 or not parts[1][0].isdigit():
        return text
    kind = parts[2].split("_")[0]
    shown = f" ({kind})" if kind.startswith(("cpu", "cuda")) else ""
    return f"{parts[0]} {parts[1]}{shown}"
