"""Explanations in plain words, in fewer than twenty lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, get_args

from generator.explaining.facts import VirtualFacts, facts
from generator.explaining.findings import Cause, Finding
from generator.explaining.report import Answer, Explanation, Installed
from generator.explaining.wheels import Judged
from generator.model.python_build import PythonBuild, not_on_base
from generator.printing import listed, shortened

#: lines of each part, so that all of them together stay below twenty
_WHY, _WARNINGS, _NOTES = 5, 2, 2
#: characters of a command above its explanation
_SHOWN: Final = 160
#: versions, builds or Pythons in one line
_OFFERED: Final = 5


def answer_lines(answer: Answer) -> list[str]:
    """Return the text: each install's, numbered where there are several, and the mended file."""
    several = len(answer.installs) > 1
    found: list[str] = []
    for number, explanation in enumerate(answer.installs, start=1):
        if several:
            found.append(f"{number}. {shortened(explanation.command, _SHOWN)}")
        found += [f"   {line}" if several else line for line in lines_of(explanation)]
    if answer.file:
        found += ["The file, corrected:", *(f"  {line}" for line in answer.file.splitlines())]
    return found


def lines_of(explanation: Explanation) -> list[str]:
    """Return the text: the verdict, why, what works, warnings."""
    found = [_verdict(explanation)]
    found += [f"  {line}" for line in _wheels(explanation.wheels)]
    found += [f"  not looked at: {each}" for each in explanation.unseen]
    why = [_sentence(finding, explanation.subdir) for finding in _merged(explanation.findings)]
    found += [f"  {line}" for line in _capped(why, _WHY, "causes")]
    found += _commands(explanation)
    for notice in explanation.warnings[:_WARNINGS]:
        head = "Warning" if notice.certain else "Warning, if this is such a machine"
        found.append(f"{head}: {notice.text}; {notice.advice}.")
    found += [f"Note: {note}" for note in (*_ages(explanation), *explanation.notes)][:_NOTES]
    return found


def _verdict(explanation: Explanation) -> str:
    """Return the one line that says it all."""
    if explanation.wheels:
        return _of_pip(explanation)
    if explanation.unseen:
        return "This was not looked at: it cannot be read."
    return _of_channels(explanation)


def _of_channels(explanation: Explanation) -> str:
    subdir, findings = explanation.subdir, explanation.findings
    if explanation.outcome == "works":
        brings = _brief(explanation.installs)
        if explanation.commands:
            return f"This installs on {subdir}, and does not run on this machine: {brings}."
        return f"This works on {subdir}: it installs {brings}."
    silent = listed(
        dict.fromkeys(f.channel for f in findings if f.cause in {"unreachable", "malformed"})
    )
    if explanation.outcome == "unknown":
        if not silent:
            brings = _brief(explanation.installs)
            return f"Cannot tell on {subdir}: with other values it installs {brings}."
        rest = f"what the others have is {'' if explanation.installs else 'not '}enough"
        alone = not any(state.usable for state in explanation.channels)
        return f"Cannot tell: {silent} gave no usable answer{'' if alone else ', and ' + rest}."
    if not findings:
        return f"This does not work on {subdir}: the packages do not go together."
    ranked = sorted(findings, key=lambda finding: get_args(Cause).index(finding.cause))
    worst = {finding.package: finding for finding in reversed(ranked)}
    # torch's own causes come first, and those of channels before any package's
    about = next((finding.package for finding in findings if finding.package), "")
    first = next(finding for finding in ranked if finding.package in {"", about})
    same = [f.package for f in findings if f.package and _says(worst[f.package]) == _says(first)]
    more = f", and {silent} did not answer" if silent and first.package else ""
    return f"This does not work on {subdir}: {_lead(first, same)}{more}."


def _says(finding: Finding) -> tuple[str, str, str]:
    return finding.cause, finding.virtual, finding.needed


def _wheels(wheels: Sequence[Judged]) -> Iterator[str]:
    """Yield a line for each that fails or is torch's own, and one for all others of a kind."""
    states = {"works": "works", "fails": "does not work", "unseen": "was not looked at"}
    others: dict[str, list[str]] = {}
    for wheel in wheels:
        said = f"{states[wheel.state]}: {wheel.detail}"
        own = re.match(r"torch(?:vision|audio)?(?![\w-])", wheel.requirement)
        if wheel.state == "fails" or own:
            yield f"{wheel.requirement} {said}"
        else:
            said = "works: there are wheels" if wheel.state == "works" else said
            others.setdefault(said, []).append(wheel.requirement)
    for said, names in others.items():
        plural = re.sub("^works", "work", re.sub("^was", "were", said))
        yield f"{listed(names)} {plural if names[1:] else said}"


def _of_pip(explanation: Explanation) -> str:
    subdir, wheels = explanation.subdir, explanation.wheels
    if explanation.outcome == "fails":
        names = listed(wheel.requirement for wheel in wheels if wheel.state == "fails")
        return f"This is pip's, and does not work on {subdir}: {names} cannot be had as asked."
    if explanation.outcome == "unknown":
        names = listed(wheel.requirement for wheel in wheels if wheel.state == "unseen")
        return f"This is pip's, and was not looked at: {names}."
    return f"This is pip's, and there are wheels for {subdir}."


def _commands(explanation: Explanation) -> Iterator[str]:
    if explanation.outcome == "works" and not explanation.commands:
        return
    if explanation.unseen or (explanation.wheels and not explanation.commands):
        return
    if explanation.outcome == "unknown" and explanation.installs and not explanation.findings:
        return
    if explanation.outcome == "unknown" and not explanation.commands:
        yield "Look at the network, or name a mirror (--channel-alias); --offline uses the cache."
    elif not explanation.commands:
        yield "No command was found that works here."
    unseen = explanation.wheels and explanation.outcome == "unknown"
    for number, command in enumerate(explanation.commands):
        differs = ", ".join(shortened(each, _SHOWN) for each in command.differs)
        works = "This was looked at, and works" if unseen else "This works"
        head = works if number == 0 else "Or"
        yield f"{head}, {differs}:" if differs else f"{head}:"
        yield f"  {command.command}"
        if command.installs:
            yield f"  installs {_brief(command.installs)}"


def _brief(installs: Sequence[Installed]) -> str:
    """``pytorch 2.10.0 (cpu), torchvision 0.25.0 (cpu) from armtorch``."""
    text = _records([each for each in installs if each.named])
    below = [each for each in installs if not each.named]
    return text + (f", on {_records(below)}" if below else "")


def _records(installs: Sequence[Installed]) -> str:
    shown = []
    for each in installs:
        kind = each.build.split("_")[0]
        known = kind.startswith(("cpu", "cuda")) and each.name != "cpuonly"
        shown.append(f"{each.name} {each.version}" + (f" ({kind})" if known else ""))
    channels = list(dict.fromkeys(each.channel for each in installs))
    return f"{', '.join(shown)} from {listed(channels)}" if shown else "nothing new"


def _ages(explanation: Explanation) -> Iterator[str]:
    old = [state for state in explanation.channels if state.age_days is not None]
    if old:
        days = max(state.age_days or 0.0 for state in old)
        names = listed([state.name for state in old])
        yield f"{names}: cached data, {days:.1f} days old ({old[0].detail})"


def _capped(lines: Iterable[str], most: int, what: str) -> list[str]:
    found = list(dict.fromkeys(lines))
    if len(found) <= most:
        return found
    return [*found[: most - 1], f"... and {len(found) - most + 1} more {what}; --json has them all"]


def _lead(finding: Finding, packages: Iterable[str]) -> str:
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


def _sentence(finding: Finding, subdir: str) -> str:
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


def _merged(findings: Iterable[Finding]) -> list[Finding]:
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
